"""Prometheus metrics of jobs."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.01, 0.1, 0.5, 2, 10)
OUTCOMES: Final = ("done", "failed", "lost")


class MaintenanceMetrics:
    """Runs, rows and time of each job, and who leads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "maintenance_runs_total", "Runs of a job, by outcome.", ("job", "outcome"), registry=registry
        )
        self._rows = Counter("maintenance_rows_total", "Rows that a job has processed.", ("job",), registry=registry)
        self._seconds = Histogram(
            "maintenance_seconds", "Time of a chunk of a job.", ("job",), buckets=_SECONDS, registry=registry
        )
        self._interval = Gauge(
            "maintenance_interval_seconds", "How long a job rests between two runs.", ("job",), registry=registry
        )
        self._is_leader = Gauge(
            "maintenance_is_leader", "1 while this instance does the job for all.", ("job",), registry=registry
        )
        self._is_paused = Gauge(
            "maintenance_paused", "1 while an operator has the job paused.", ("job",), registry=registry
        )
        self._last_success = Gauge(
            "maintenance_last_success_timestamp_seconds",
            "When a job last ended a run without an error.",
            ("job",),
            registry=registry,
        )

    def scheduled(self, job: str, interval_s: float) -> None:
        """Tell that there is a job, before its first run."""
        self._interval.labels(job).set(interval_s)
        self._is_paused.labels(job).set(0)
        for outcome in OUTCOMES:
            self._runs.labels(job, outcome)

    def chunk(self, job: str, rows: int, seconds: float) -> None:
        """Count one chunk."""
        self._rows.labels(job).inc(rows)
        self._seconds.labels(job).observe(seconds)

    def done(self, job: str) -> None:
        """Count a run without an error, which may have done several chunks."""
        self._runs.labels(job, "done").inc()
        self._last_success.labels(job).set_to_current_time()

    def failed(self, job: str) -> None:
        """Count a run that failed."""
        self._runs.labels(job, "failed").inc()

    def lost(self, job: str) -> None:
        """Count a run that found another instance leading, and wrote nothing."""
        self._runs.labels(job, "lost").inc()

    def paused(self, job: str, *, is_paused: bool) -> None:
        """Set whether *job* is paused."""
        self._is_paused.labels(job).set(is_paused)

    def leads(self, job: str, *, is_leader: bool) -> None:
        """Set whether this instance is the leader of *job*."""
        self._is_leader.labels(job).set(is_leader)
