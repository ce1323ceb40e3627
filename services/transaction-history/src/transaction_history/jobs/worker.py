"""The worker: takes jobs that are due, carries them out side by side, ends each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from servicekit.failures import OperationalError, operational
from servicekit.lifecycle import Shutdown
from servicekit.telemetry import get_logger
from transaction_history.domain.jobs import Reason
from transaction_history.jobs.metrics import JobMetrics
from transaction_history.jobs.objects import ObjectsUnavailable
from transaction_history.jobs.queue_postgres import JobLease, JobQueue, LeaseGone
from transaction_history.jobs.working import JobKind, JobRefused, Stopped, Work

POLL_S: Final = 0.25
"""Nobody waits for a file at the edge of a second."""
BACKOFF_S: Final = 2.0
_EXTENDED_PER_LEASE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker runs: *jobs_max* side by side, each for *lease_s* at a time; at the end they have *drain_s*.

    Files are kept *kept_days*.
    """

    jobs_max: int
    lease_s: float
    drain_s: float
    kept_days: int


class Worker:
    """Carries jobs out until it is told to stop; *kinds* are those it knows."""

    def __init__(
        self, settings: WorkerSettings, *, queue: JobQueue, kinds: Mapping[str, JobKind], metrics: JobMetrics
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._kinds = kinds
        self._metrics = metrics
        self._under_way: dict[asyncio.Task[None], Work] = {}

    async def run(self, shutdown: Shutdown) -> None:
        """Work until the end is requested, then have what is under way given back, within a bound."""
        try:
            while not shutdown.is_requested:
                await shutdown.sleep(await self._begin())
        finally:
            for work in self._under_way.values():
                work.stop()
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self._settings.drain_s)
            left = list(self._under_way)
            for task in left:
                task.cancel()  # its lease ends, and another worker goes on behind its last part
            await asyncio.gather(*left, return_exceptions=True)

    async def _begin(self) -> float:
        """Take a job where there is room; return for how long to rest."""
        if len(self._under_way) >= self._settings.jobs_max:
            return POLL_S
        try:
            lease = await self._queue.take()
        except OperationalError as error:
            get_logger().warning("job.take_failed", error=type(error).__name__)
            return BACKOFF_S
        if lease is None:
            return POLL_S
        work = Work(lease, self._metrics)
        task = asyncio.create_task(self._carry_out(lease, work), name=f"job-{lease.job.id}")
        self._under_way[task] = work
        task.add_done_callback(self._ended)
        self._metrics.under_way(len(self._under_way))
        return 0.0

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        self._metrics.under_way(len(self._under_way))
        if not task.cancelled() and (error := task.exception()) is not None:
            get_logger().error("job.crashed", exc_info=error)

    # -- one attempt

    async def _carry_out(self, lease: JobLease, work: Work) -> None:
        keeping = asyncio.create_task(self._keep(lease, work))
        try:
            outcome = await self._attempt(lease, work)
        finally:
            keeping.cancel()
        self._metrics.ended(lease.job.kind, outcome)
        get_logger().info(
            "job.attempt",
            job_id=str(lease.job.id),
            tenant_id=str(lease.job.tenant_id),
            kind=lease.job.kind,
            attempt=lease.job.attempts,
            rows=work.done_rows,
            outcome=outcome,
        )

    async def _attempt(self, lease: JobLease, work: Work) -> str:
        """Carry one attempt out; return what it came to."""
        try:
            made = await self._kinds[lease.job.kind].carry_out(work)
            work.go_on()
            await lease.succeed(made, kept_days=self._settings.kept_days)
        except LeaseGone:
            return "lost"
        except Stopped:
            return await self._record(lease.give_back, "given_back")
        except JobRefused as refused:
            return await self._fail(lease, refused.reason)
        except Exception as error:  # noqa: BLE001  the boundary of an attempt: whatever failed, the worker goes on
            return await self._fail(lease, reason_of(error), error)
        return "succeeded"

    async def _fail(self, lease: JobLease, reason: Reason, error: Exception | None = None) -> str:
        self._metrics.failed(lease.job.kind, reason)
        named: dict[str, object] = {
            "job_id": str(lease.job.id),
            "attempt": lease.job.attempts,
            "reason": reason.value,
        }
        if reason is Reason.BUG:
            get_logger().error("job.attempt_crashed", exc_info=error, **named)
        else:
            get_logger().warning("job.attempt_failed", error=repr(error), **named)

        async def fail() -> None:
            await lease.fail(reason)

        return await self._record(fail, "failed")

    async def _record(self, write: Callable[[], Awaitable[None]], outcome: str) -> str:
        """Write what the attempt came to; where that cannot be, its lease ends by itself."""
        try:
            await write()
        except LeaseGone:
            return "lost"
        except OperationalError as error:
            get_logger().warning("job.not_recorded", error=type(error).__name__)
            return "not_recorded"
        return outcome

    async def _keep(self, lease: JobLease, work: Work) -> None:
        """Extend the lease while the attempt lasts, and stop the attempt where another has the job."""
        while True:
            await asyncio.sleep(self._settings.lease_s / _EXTENDED_PER_LEASE)
            try:
                await lease.extend(work.done_rows)
            except LeaseGone:
                work.stop()
                return
            except OperationalError as error:
                get_logger().warning("job.not_extended", error=type(error).__name__)


def reason_of(error: Exception) -> Reason:
    """Return why an attempt failed that *error* ended."""
    match error:
        case ObjectsUnavailable():
            return Reason.OBJECTS
        case OSError():
            return Reason.DISK
        case _:
            return Reason.BUG if operational(error) is None else Reason.DATABASE
