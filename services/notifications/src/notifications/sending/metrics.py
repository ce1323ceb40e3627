"""What a worker tells of itself, as Prometheus metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from notifications.domain.outcomes import AttemptOutcome
from servicekit.telemetry.metrics import begin_at_zero

_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
_LATE_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60, 300, 3_600)


class WorkerMetrics:
    """Attempts and what is under way, as Prometheus metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter("webhook_attempts_total", "Attempts, by outcome.", ["outcome"], registry=registry)
        self._seconds = Histogram(
            "webhook_attempt_seconds", "From DNS to the status of the response.", buckets=_SECONDS, registry=registry
        )
        self._first = Histogram(
            "webhook_first_attempt_seconds",
            "From an event's time to the begin of the first attempt to deliver it.",
            buckets=_LATE_SECONDS,
            registry=registry,
        )
        self._delivered = Histogram(
            "webhook_delivery_seconds",
            "From an event's time to its delivery, of deliveries that nobody had sent once more.",
            buckets=_LATE_SECONDS,
            registry=registry,
        )
        self._stale = Counter(
            "webhook_attempts_stale_total",
            "Attempts whose lease had passed on: nothing was written.",
            registry=registry,
        )
        self._exhausted = Counter("webhook_deliveries_exhausted_total", "Deliveries given up.", registry=registry)
        self._in_flight = Gauge("webhook_attempts_in_flight", "Attempts under way.", registry=registry)
        self._failures = Counter(
            "webhook_worker_failures_total", "Rounds that the database ended, by error.", ["error"], registry=registry
        )
        begin_at_zero(self._attempts, AttemptOutcome)

    def attempted(self, outcome: AttemptOutcome, seconds: float) -> None:
        """Count an attempt that was settled."""
        self._attempts.labels(outcome.value).inc()
        self._seconds.observe(seconds)

    def begun_first(self, seconds: float) -> None:
        """Count a first attempt, *seconds* after the event."""
        self._first.observe(seconds)

    def delivered(self, seconds: float) -> None:
        """Count a delivery, *seconds* after the event."""
        self._delivered.observe(seconds)

    def stale(self) -> None:
        """Count an attempt that was not settled, since another worker has its delivery."""
        self._stale.inc()

    def exhausted(self) -> None:
        """Count a delivery that was given up."""
        self._exhausted.inc()

    def in_flight(self, attempts: int) -> None:
        """Tell how many attempts are under way."""
        self._in_flight.set(attempts)

    def failed(self, error: str) -> None:
        """Count a round that the database ended."""
        self._failures.labels(error).inc()
