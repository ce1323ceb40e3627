"""Prometheus metrics of what must always hold, as a job looks for breaches of it over and over."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class InvariantMetrics:
    """How much of each invariant was looked at, when last, and what was found.

    A violation is shown until a whole round has found none: a job that looks at a part at a time must not take back
    what it found elsewhere.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("invariant",)
        self._violations = Gauge(
            "invariant_violations",
            "Breaches of an invariant: those of the last whole round, or of this one where they are more.",
            labels,
            registry=registry,
        )
        self._checked = Gauge(
            "invariant_checked_timestamp_seconds", "When an invariant was looked at last.", labels, registry=registry
        )
        self._rows = Counter(
            "invariant_checked_rows_total",
            "Rows or events that were looked at for it.",
            labels,
            registry=registry,
        )
        self._before: dict[str, int] = {}
        self._found: dict[str, int] = {}

    def checked(self, invariant: str, *, rows: int, violations: int) -> None:
        """Tell what a look at *rows* found."""
        found = self._found[invariant] = self._found.get(invariant, 0) + violations
        self._rows.labels(invariant).inc(rows)
        self._violations.labels(invariant).set(max(found, self._before.get(invariant, 0)))
        self._checked.labels(invariant).set_to_current_time()

    def round_ended(self, invariant: str) -> None:
        """Tell that all there is was looked at since the last time."""
        found = self._before[invariant] = self._found.pop(invariant, 0)
        self._violations.labels(invariant).set(found)
