"""Prometheus metrics of jobs."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from servicekit.telemetry.metrics import begin_at_zero
from transaction_history.domain.jobs import Kind, Reason

OUTCOMES: Final = ("succeeded", "failed", "given_back", "lost", "not_recorded")
WAITING: Final = ("queued", "running")


class JobMetrics:
    """What a worker does, and how much waits for workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "history_job_attempts_total",
            "Attempts that ended here, by outcome.",
            ("kind", "outcome"),
            registry=registry,
        )
        self._failed = Counter(
            "history_job_attempts_failed_total", "Attempts that failed.", ("kind", "reason"), registry=registry
        )
        self._rows = Counter("history_job_rows_total", "Rows that jobs have written.", ("kind",), registry=registry)
        begin_at_zero(self._ended, Kind, OUTCOMES)
        begin_at_zero(self._failed, Kind, Reason)
        begin_at_zero(self._rows, Kind)
        self._under_way = Gauge("history_jobs_under_way", "Jobs under way in this process.", registry=registry)
        self._waiting = Gauge(
            "history_jobs", "Jobs that have not ended, of all workers.", ("status",), registry=registry
        )
        self._oldest = Gauge("history_jobs_oldest_seconds", "How long the oldest due job waits.", registry=registry)

    def ended(self, kind: str, outcome: str) -> None:
        """Count an attempt that ended."""
        self._ended.labels(kind, outcome).inc()

    def failed(self, kind: str, reason: str) -> None:
        """Count an attempt that failed."""
        self._failed.labels(kind, reason).inc()

    def rows(self, kind: str, rows: int) -> None:
        """Count rows of a finished part."""
        self._rows.labels(kind).inc(rows)

    def under_way(self, jobs: int) -> None:
        """Set how many jobs are under way."""
        self._under_way.set(jobs)

    def waiting(self, jobs: Mapping[str, int], oldest_s: float) -> None:
        """Set how many jobs have not ended, by status, and how long the oldest that is due waits."""
        for status, count in jobs.items():
            self._waiting.labels(status).set(count)
        self._oldest.set(oldest_s)
