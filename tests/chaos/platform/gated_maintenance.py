"""A maintenance process that verifies new rows twice a second, under a short lease, and asks the gate first."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.platform.gate import Gate

from servicekit.maintenance import Job, JobRun
from servicekit.postgres import Transaction

JOB: Final = "verify_new"
WRITES: Final = "maintenance_writes"
LEASE_S: Final = 4.0
_EVERY_S: Final = 0.5
_DEADLINE_S: Final = 600.0
"""No deadline gives the run up: the fence alone is tried."""


class GatedRun(JobRun):
    """Asks the gate when there is something to write, and nothing is begun (`maintenance_writes`)."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        await Gate.of_process().reach(WRITES, {})
        async with super().transaction() as tx:
            yield tx


class _BrieflyLed(Job):
    """Has a lease that runs out while a fault lasts."""

    @property
    def lease_s(self) -> float:
        return LEASE_S


def briefly_led(run_class: type[GatedRun]) -> Callable[[Sequence[Job]], Sequence[Job]]:
    """Return what has the job run on a *run_class*."""

    def jobs_as(wanted: Sequence[Job]) -> Sequence[Job]:
        return [_gated(job, run_class) if job.name == JOB else job for job in wanted]

    return jobs_as


def _gated(job: Job, run_class: type[GatedRun]) -> Job:
    async def run(given: JobRun) -> int:
        return await job.run(run_class(given.connection, given.leadership))

    return _BrieflyLed(
        name=job.name,
        interval_s=_EVERY_S,
        run=run,
        chunk_rows=job.chunk_rows,
        deadline_s=_DEADLINE_S,
        has_leader=job.has_leader,
    )
