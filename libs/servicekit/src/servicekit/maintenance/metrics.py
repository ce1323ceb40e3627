"""What jobs tell of themselves, as Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class MaintenanceMetrics:
    """Runs, rows and time of each job, and who leads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "maintenance_runs_total", "Turns of a job, by outcome.", ("job", "outcome"), registry=registry
        )
        self._rows = Counter("maintenance_rows_total", "Rows that a job has dealt with.", ("job",), registry=registry)
        self._seconds = Counter("maintenance_seconds_total", "Time spent in a job.", ("job",), registry=registry)
        self._is_leader = Gauge(
            "maintenance_is_leader", "1 while this instance does the job for all.", ("job",), registry=registry
        )
        self._last_success = Gauge(
            "maintenance_last_success_timestamp_seconds",
            "When a job's turn last ended well.",
            ("job",),
            registry=registry,
        )

    def lot(self, job: str, rows: int, seconds: float) -> None:
        """Count one lot."""
        self._rows.labels(job).inc(rows)
        self._seconds.labels(job).inc(seconds)

    def done(self, job: str) -> None:
        """Count a turn that ended well."""
        self._runs.labels(job, "done").inc()
        self._last_success.labels(job).set_to_current_time()

    def failed(self, job: str) -> None:
        """Count a turn that did not."""
        self._runs.labels(job, "failed").inc()

    def leads(self, job: str, *, is_leader: bool) -> None:
        """Tell whether this instance does *job* for all."""
        self._is_leader.labels(job).set(is_leader)
