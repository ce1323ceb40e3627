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
from servicekit.maintenance.orders import Order, Orders
from servicekit.maintenance.recording import Ended, Recording
from servicekit.postgres import DRIVER_ERRORS, connect, given_up_after

_END_TIMEOUT_S: Final = 1.0
_LOCK_TIMEOUT: Final = "1s"
"""A job gives way to what it would wait for: it runs again soon."""

SPREAD_S: Final = 1.0
"""The first runs of a process's jobs begin within this, one after another, and so do those after an outage."""
PAUSE_SHARE: Final = 0.25
PAUSE_S_MAX: Final = 0.25
"""Between chunks of a backlog a job rests for a share of what the last one took: others have the database meanwhile."""
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
        self._orders = Orders(jobs, dsn=dsn, application=f"{application}-orders")
        self._application = application
        self._loops = [
            _Loop(
                job,
                dsn=dsn,
                application=application,
                owner=owner,
                metrics=metrics,
                order=self._orders.of(job.name),
                offset_s=SPREAD_S * number / len(jobs),
            )
            for number, job in enumerate(jobs)
        ]

    async def check(self) -> Mapping[str, Check]:
        """Return, for a deep look, which jobs that are this instance's to do have not been done for too long.

        Those that are paused are named, and are not late.
        """
        late = sorted(loop.job for loop in self._loops if loop.is_late)
        paused = sorted(loop.job for loop in self._loops if loop.is_paused)
        told = f"late: {', '.join(late)}" if late else "none late"
        return {"maintenance": Check(ok=not late, detail=f"{told}; paused: {', '.join(paused)}" if paused else told)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the jobs while the body runs; on the way out their leases are freed and their connections closed."""
        tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in self._loops]
        if tasks:
            tasks.append(asyncio.create_task(self._orders.run(), name=f"{self._application}-orders"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Loop:
    """One job's task."""

    def __init__(
        self,
        job: Job,
        *,
        dsn: str,
        application: str,
        owner: str,
        metrics: MaintenanceMetrics,
        order: Order,
        offset_s: float,
    ) -> None:
        self._job = job
        self._dsn = dsn
        self.name = f"{application}-{job.name}"
        self._leadership = Leadership(job.name, owner=owner, lease_s=job.lease_s) if job.has_leader else None
        self._metrics = metrics
        self._order = order
        self._offset_s = offset_s
        self._recording = Recording(job.name, owner)
        self._seen = 0
        """Up to which of the asked-for runs the job was begun here."""
        self._connection: _DedicatedConnection | None = None
        self._done_s = monotonic_s()

    @property
    def job(self) -> str:
        """The job's name."""
        return self._job.name

    @property
    def is_paused(self) -> bool:
        """Whether an operator has it paused."""
        return self._order.is_paused

    @property
    def is_late(self) -> bool:
        """Whether no run has ended well for so long that several must have failed."""
        bound_s = LATE_INTERVALS * (self._job.interval_s + self._job.deadline_s)
        return not self.is_paused and monotonic_s() - self._done_s > bound_s

    async def run(self) -> None:
        """Do the job every interval, and when it is asked for, until cancelled."""
        try:
            await self._order.known()
            self._seen = self._order.asked  # asked for before this process began: it runs now anyway
            await asyncio.sleep(self._offset_s)
            while True:
                if self.is_paused:
                    await self._wait_resumed()
                failed = await self._run_once()
                await self._rest(self._job.interval_s + (self._offset_s if failed else 0.0))
        finally:
            await self._end()

    async def _wait_resumed(self) -> None:
        name = self._job.name
        self._metrics.paused(name, is_paused=True)
        if self._leadership is not None:
            self._metrics.leads(name, is_leader=False)
        while self.is_paused:
            await self._order.changed()
        self._done_s = monotonic_s()
        self._metrics.paused(name, is_paused=False)

    async def _rest(self, seconds: float) -> None:
        """Wait *seconds*, or until an operator asks for a run or pauses the job."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._order.asked <= self._seen and not self.is_paused:
                    await self._order.changed()

    async def _run_once(self) -> bool:
        """Do chunks while they are full, within the job's time; return whether that failed. It never ends the job."""
        asked = self._seen = self._order.asked
        try:
            if await self._leads():
                rows = await self._chunks()
                self._metrics.done(self._job.name)
                await self._record(Ended("done", rows), asked)
            self._done_s = monotonic_s()  # where another instance leads, that one is to be asked
        except LeaseLost:
            self._lost()
        except Exception as error:  # noqa: BLE001 - the boundary of a run: whatever failed, the next one follows
            self._failed(error)
            await self._record_failure(error, asked)
            return True
        return False

    async def _record(self, ended: Ended, asked: int) -> None:
        if not self._recording.is_due(ended, asked):
            return
        async with self._bounded() as connection, JobRun(connection, self._leadership).transaction() as tx:
            await self._recording.write(tx.connection, ended, asked)
        self._recording.written(ended, asked)

    async def _record_failure(self, error: Exception, asked: int) -> None:
        """Write down that a run failed, if the database takes it."""
        try:
            await self._record(Ended("failed", 0, type(error).__name__), asked)
        except LeaseLost:
            self._lost()
        except (*DRIVER_ERRORS, OSError, TimeoutError):
            self._drop_connection()

    async def _leads(self) -> bool:
        if self._leadership is None:
            return True
        async with self._bounded() as connection:
            is_leader = await self._leadership.take(connection)
        self._metrics.leads(self._job.name, is_leader=is_leader)
        return is_leader

    async def _chunks(self) -> int:
        """Do chunks while they are full, and return how many rows they had."""
        until_s, done = monotonic_s() + self._job.repeat_s, 0
        while True:
            began_s = monotonic_s()
            rows = await self._chunk()
            done += rows
            now_s = monotonic_s()
            if self._job.chunk_rows is None or rows < self._job.chunk_rows or now_s >= until_s or self.is_paused:
                return done
            await asyncio.sleep(min(PAUSE_S_MAX, PAUSE_SHARE * (now_s - began_s)))

    async def _chunk(self) -> int:
        began_s = monotonic_s()
        async with self._bounded() as connection:
            rows = await self._job.run(JobRun(connection, self._leadership))
        self._metrics.chunk(self._job.name, rows, monotonic_s() - began_s)
        return rows

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
        self._drop_connection()
        if classify(error) in {Failure.OTHER, Failure.DATA}:
            _log.error("maintenance.bug", job=self._job.name, exc_info=error)
        else:
            _log.warning("maintenance.failed", job=self._job.name, error=repr(error))

    def _lost(self) -> None:
        name = self._job.name
        self._metrics.leads(name, is_leader=False)
        self._metrics.lost(name)
        _log.warning("maintenance.lease_lost", job=name)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _end(self) -> None:
        if self._connection is None:
            return
        with suppress(*DRIVER_ERRORS, OSError):
            async with asyncio.timeout(_END_TIMEOUT_S):
                if self._leadership is not None:
                    await self._leadership.release(self._connection)
                await self._connection.close()
        self._connection.terminate()
