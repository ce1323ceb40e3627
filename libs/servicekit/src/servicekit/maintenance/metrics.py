"""Prometheus metrics of jobs."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class MaintenanceMetrics:
    """Runs, rows and time of each job, and who leads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "maintenance_runs_total", "Runs of a job, by outcome.", ("job", "outcome"), registry=registry
        )
        self._rows = Counter("maintenance_rows_total", "Rows that a job has processed.", ("job",), registry=registry)
        self._seconds = Counter("maintenance_seconds_total", "Time spent in a job.", ("job",), registry=registry)
        self._is_leader = Gauge(
            "maintenance_is_leader", "1 while this instance does the job for all.", ("job",), registry=registry
        )
        self._last_success = Gauge(
            "maintenance_last_success_timestamp_seconds",
            "When a job last ended a run without an error.",
            ("job",),
            registry=registry,
        )

    def chunk(self, job: str, rows: int, seconds: float) -> None:
        """Count one chunk."""
        self._rows.labels(job).inc(rows)
        self._seconds.labels(job).inc(seconds)

    def done(self, job: str) -> None:
        """Count a run without an error, which may have done several chunks."""
        self._runs.labels(job, "done").inc()
        self._last_success.labels(job).set_to_current_time()

    def failed(self, job: str) -> None:
        """Count a run that failed."""
        self._runs.labels(job, "failed").inc()

    def leads(self, job: str, *, is_leader: bool) -> None:
        """Set whether this instance is the leader of *job*."""
        self._is_leader.labels(job).set(is_leader)
