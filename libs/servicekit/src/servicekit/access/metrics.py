"""What an API tells of admission."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from servicekit.telemetry.metrics import begin_at_zero

OUTCOMES: Final = ("good", "refused")


class AccessMetrics:
    """Counts credentials verified, and tells how much is known and how old it is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._verified = Counter(
            "access_verifications_total", "Credentials that were not known by heart.", ("outcome",), registry=registry
        )
        begin_at_zero(self._verified, OUTCOMES)
        self._stale = Gauge(
            "access_stale_seconds",
            "How long ago identities were known up to the end of their stream.",
            registry=registry,
        )
        self._parked = Gauge("access_parked_entities", "Entities whose last event is parked.", registry=registry)
        self._known = Gauge("access_known_credentials", "Credentials known by heart.", registry=registry)

    def verified(self, *, is_good: bool) -> None:
        """Count a verification."""
        self._verified.labels("good" if is_good else "refused").inc()

    def told(self, *, stale_s: float, parked: int, known: int) -> None:
        """Set what a look has shown."""
        self._stale.set(stale_s)
        self._parked.set(parked)
        self._known.set(known)
