"""Runs a process's jobs, each in a task of its own."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from servicekit.clock import monotonic_s
from servicekit.failures import Failure, classify
from servicekit.health import Check
from servicekit.maintenance.jobs import Job, JobRun
from servicekit.maintenance.leadership import Leadership, LeaseLost
from servicekit.maintenance.metrics import MaintenanceMetrics
from servicekit.postgres import DRIVER_ERRORS, connect, given_up_after

_END_TIMEOUT_S: Final = 1.0
_LOCK_TIMEOUT: Final = "1s"
"""A job gives way to what it would wait for: it runs again soon."""

LATE_INTERVALS: Final = 3

_DedicatedConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_log = structlog.get_logger(__name__)


class Maintenance:
    """Runs *jobs* on the database at *dsn*. *application* begins their sessions' names, *owner* is this instance's.

    *owner* must be unique among all instances that ever ran, for leases are held under it.
    """

    def __init__(
        self, jobs: Sequence[Job], *, dsn: str, application: str, owner: str, registry: CollectorRegistry
    ) -> None:
        names = [job.name for job in jobs]
        assert len(set(names)) == len(names), "two jobs of one name would share a lease and their figures"
        metrics = MaintenanceMetrics(registry)
        for job in jobs:
            metrics.scheduled(job.name, job.interval_s)
        self._loops = [_Loop(job, dsn=dsn, application=application, owner=owner, metrics=metrics) for job in jobs]

    async def check(self) -> Mapping[str, Check]:
        """Return, for a deep look, which jobs that are this instance's to do have not been done for too long."""
        late = sorted(loop.job for loop in self._loops if loop.is_late)
        return {"maintenance": Check(ok=not late, detail=f"late: {', '.join(late)}" if late else "none late")}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the jobs while the body runs; on the way out their leases are freed and their connections closed."""
        tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in self._loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Loop:
    """One job's task."""

    def __init__(self, job: Job, *, dsn: str, application: str, owner: str, metrics: MaintenanceMetrics) -> None:
        self._job = job
        self._dsn = dsn
        self.name = f"{application}-{job.name}"
        self._leadership = Leadership(job.name, owner=owner, lease_s=job.lease_s) if job.has_leader else None
        self._metrics = metrics
        self._connection: _DedicatedConnection | None = None
        self._done_s = monotonic_s()

    @property
    def job(self) -> str:
        """The job's name."""
        return self._job.name

    @property
    def is_late(self) -> bool:
        """Whether no run has ended well for so long that several must have failed."""
        return monotonic_s() - self._done_s > LATE_INTERVALS * (self._job.interval_s + self._job.deadline_s)

    async def run(self) -> None:
        """Do the job every interval until cancelled."""
        try:
            while True:
                await self._run_once()
                await asyncio.sleep(self._job.interval_s)
        finally:
            await self._end()

    async def _run_once(self) -> None:
        """Do chunks while they are full, within the job's time. A failure ends this run, never the job."""
        try:
            if await self._leads():
                await self._chunks()
                self._metrics.done(self._job.name)
            self._done_s = monotonic_s()  # where another instance leads, that one is to be asked
        except LeaseLost:
            self._metrics.leads(self._job.name, is_leader=False)
        except Exception as error:  # noqa: BLE001 - the boundary of a run: whatever failed, the next one follows
            self._failed(error)

    async def _leads(self) -> bool:
        if self._leadership is None:
            return True
        async with self._bounded() as connection:
            is_leader = await self._leadership.take(connection)
        self._metrics.leads(self._job.name, is_leader=is_leader)
        return is_leader

    async def _chunks(self) -> None:
        began_s = monotonic_s()
        while await self._chunk() and monotonic_s() - began_s < self._job.repeat_s:
            pass

    async def _chunk(self) -> bool:
        """Do one chunk; return whether it was full."""
        began_s = monotonic_s()
        async with self._bounded() as connection:
            rows = await self._job.run(JobRun(connection, self._leadership))
        self._metrics.chunk(self._job.name, rows, monotonic_s() - began_s)
        return self._job.chunk_rows is not None and rows >= self._job.chunk_rows

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[_DedicatedConnection]:
        """Give the job's connection until the deadline; then whatever the body waits for is given up."""
        async with asyncio.timeout(self._job.deadline_s):
            connection = await self._connected()
            with given_up_after(connection, self._job.deadline_s):
                yield connection

    async def _connected(self) -> _DedicatedConnection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._dsn,
                application_name=self.name,
                # The server gives up what this side has given up.
                session={"transaction_timeout": f"{self._job.deadline_s}s", "lock_timeout": _LOCK_TIMEOUT},
            )
        return self._connection

    def _failed(self, error: Exception) -> None:
        self._metrics.failed(self._job.name)
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        if classify(error) in {Failure.OTHER, Failure.DATA}:
            _log.error("maintenance.bug", job=self._job.name, exc_info=error)
        else:
            _log.warning("maintenance.failed", job=self._job.name, error=repr(error))

    async def _end(self) -> None:
        if self._connection is None:
            return
        with suppress(*DRIVER_ERRORS, OSError):
            async with asyncio.timeout(_END_TIMEOUT_S):
                if self._leadership is not None:
                    await self._leadership.release(self._connection)
                await self._connection.close()
        self._connection.terminate()
