"""The jobs of workers. One of them forgets for all; each tells of the backlog."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry

from notifications.maintenance.backlog import BacklogMetrics, measured
from notifications.maintenance.forgetting_postgres import (
    CANCEL,
    CHUNK_ROWS,
    FORGET_ENDPOINTS,
    FORGET_SECRETS,
    Clearing,
    DeliveryForgetting,
    KeyForgetting,
)
from servicekit.maintenance import Job, JobRun

_BACKLOG_S: Final = 5.0
_FORGET_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For how many days settled deliveries, and idempotency keys, are kept."""

    deliveries_days: int
    keys_days: int


def worker_jobs(retention: Retention, registry: CollectorRegistry) -> list[Job]:
    """Return what workers do by themselves."""
    return [_measure_backlog(BacklogMetrics(registry)), *_forget(retention)]


def _measure_backlog(metrics: BacklogMetrics) -> Job:
    async def measure(run: JobRun) -> int:
        metrics.backlog(await measured(run.connection))
        return 0

    return Job(name="measure_backlog", interval_s=_BACKLOG_S, run=measure)


def _forget(retention: Retention) -> list[Job]:
    days = retention.deliveries_days
    forgetting = {
        "forget_deliveries": DeliveryForgetting(days).forget_chunk,
        "forget_keys": KeyForgetting(retention.keys_days).forget_chunk,
        "cancel_deliveries": Clearing([CANCEL], days).clear_chunk,
        "forget_endpoints": Clearing([FORGET_ENDPOINTS, FORGET_SECRETS], days).clear_chunk,
    }
    return [
        Job(name=name, interval_s=_FORGET_S, run=run, chunk_rows=CHUNK_ROWS, has_leader=True)
        for name, run in forgetting.items()
    ]
