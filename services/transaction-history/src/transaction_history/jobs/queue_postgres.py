"""The queue of jobs as workers see it. Whatever is written of a job that is under way asks for its token first."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

from contracts.ids import new_id
from servicekit.postgres import Pool, Transaction
from transaction_history.domain.jobs import ATTEMPTS_MAX, RUNNING_MAX, GivenUp, JobStatus, Reason, after_failure
from transaction_history.jobs.ending_postgres import end
from transaction_history.jobs.rows import COLUMNS, Job, JobFile, Part, Snapshot, job_of

_IS_DUE: Final = """
    (status = 'queued' and due_at <= now() or status = 'running' and leased_until <= now())"""
_UNDER_WAY: Final = """
    select count(*) from history_jobs.job
    where tenant_id = t.tenant_id and status = 'running' and leased_until > now()"""
# Of the tenants that have a job which is due, and room for it, the one that waited longest.
_NEXT_TENANT: Final = f"""
    select t.tenant_id from history_jobs.tenant as t
    where t.tenant_id in (select tenant_id from history_jobs.job where status in ('queued', 'running') and {_IS_DUE})
      and ({_UNDER_WAY}) < $1
    order by t.served_at, t.tenant_id limit 1 for no key update of t skip locked"""
# A statement of its own, behind the tenant's lock: it sees what others took before.
_TAKE: Final = f"""
    update history_jobs.job
    set status = 'running', attempts = attempts + 1, lease_token = $2,
        leased_until = clock_timestamp() + make_interval(secs => $3), started_at = coalesce(started_at, now())
    where id = (
        select id from history_jobs.job
        where tenant_id = $1 and status in ('queued', 'running') and {_IS_DUE}
          and ({_UNDER_WAY.replace("t.tenant_id", "$1")}) < $4
        order by id limit 1 for update skip locked)
    returning {COLUMNS}"""
_SERVED: Final = "update history_jobs.tenant set served_at = clock_timestamp() where tenant_id = $1"
_EXTEND: Final = """
    update history_jobs.job set leased_until = clock_timestamp() + make_interval(secs => $3), done_rows = $4
    where id = $1 and lease_token = $2"""
_HOLD: Final = "select true from history_jobs.job where id = $1 and lease_token = $2 for no key update"
_WAIT: Final = """
    update history_jobs.job
    set status = 'queued', lease_token = null, leased_until = null, attempts = $2, due_at = now() + $3::interval
    where id = $1"""
_PARTS: Final = """
    select number, object, rows, size_bytes, is_served, after from history_jobs.job_part
    where job_id = $1 order by number"""
_ADD_PART: Final = """
    insert into history_jobs.job_part (job_id, number, object, rows, size_bytes, is_served, after)
    values ($1, $2, $3, $4, $5, $6, $7)"""


class LeaseGone(Exception):
    """Another has the job, or it has ended: nothing was written."""


class JobLease:
    """A job that this worker has: the token fences all that is written of it."""

    def __init__(self, pool: Pool, job: Job, token: UUID, lease_s: float) -> None:
        self.job = job
        self.token = token
        self._pool = pool
        self._lease_s = lease_s

    async def extend(self, done_rows: int) -> None:
        """Have the job for another while, and tell how far it is; raises LeaseGone."""
        async with self._pool.connection() as connection:
            status = await connection.execute(_EXTEND, self.job.id, self.token, self._lease_s, done_rows)
        if status != "UPDATE 1":
            raise LeaseGone

    async def parts(self) -> Sequence[Part]:
        """Return what former attempts have finished."""
        async with self._pool.connection() as connection:
            return [Part(**dict(row)) for row in await connection.fetch(_PARTS, self.job.id)]

    async def look_at(self, seen: Snapshot) -> None:
        """Keep what the job looks at, for all of its attempts; raises LeaseGone."""
        async with self._held() as tx:
            await tx.connection.execute(
                "update history_jobs.job set as_of = $2, parked = $3, complete_until = $4 where id = $1",
                self.job.id,
                list(seen.as_of),
                list(seen.parked),
                seen.complete_until,
            )

    async def add_part(self, part: Part) -> None:
        """Keep that *part* is finished; raises LeaseGone."""
        async with self._held() as tx:
            await tx.connection.execute(
                _ADD_PART,
                self.job.id,
                *(part.number, part.object, part.rows, part.size_bytes, part.is_served, part.after),
            )

    async def succeed(self, made: JobFile, *, kept_days: int) -> None:
        """End the job with its file; raises LeaseGone."""
        async with self._held() as tx:
            await end(tx, self.job, JobStatus.SUCCEEDED, made=made, kept_days=kept_days)

    async def fail(self, reason: Reason) -> GivenUp | None:
        """End the attempt, and the job with it where there is to be no other; raises LeaseGone."""
        step = after_failure(reason, self.job.attempts)
        async with self._held() as tx:
            if isinstance(step, GivenUp):
                await end(tx, self.job, JobStatus.FAILED, failure=step.reason)
                return step
            await self._wait(tx, self.job.attempts, step.delay)
        return None

    async def give_back(self) -> None:
        """Have another worker go on, at once: this attempt does not count; raises LeaseGone."""
        async with self._held() as tx:
            await self._wait(tx, self.job.attempts - 1, timedelta())

    async def _wait(self, tx: Transaction, attempts: int, delay: timedelta) -> None:
        await tx.connection.execute(_WAIT, self.job.id, attempts, delay)

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Transaction]:
        """Run the body in a transaction that holds the job's row; raises LeaseGone."""
        async with self._pool.transaction() as tx:
            if await tx.connection.fetchval(_HOLD, self.job.id, self.token) is None:
                raise LeaseGone
            yield tx


class JobQueue:
    """Takes jobs, each for *lease_s* seconds at a time."""

    def __init__(self, pool: Pool, *, lease_s: float) -> None:
        self._pool = pool
        self._lease_s = lease_s

    async def take(self) -> JobLease | None:
        """Take the job that is next, None where none is due. One whose workers died too often fails instead."""
        async with self._pool.transaction() as tx:
            taken = await self._take(tx)
            if taken is None or taken.job.attempts <= ATTEMPTS_MAX:
                return taken
            await end(tx, taken.job, JobStatus.FAILED, failure=Reason.WORKER_LOST)
        return None

    async def _take(self, tx: Transaction) -> JobLease | None:
        tenant_id = await tx.connection.fetchval(_NEXT_TENANT, RUNNING_MAX)
        if tenant_id is None:
            return None
        token = new_id()
        row = await tx.connection.fetchrow(_TAKE, tenant_id, token, self._lease_s, RUNNING_MAX)
        if row is None:
            return None
        await tx.connection.execute(_SERVED, tenant_id)
        return JobLease(self._pool, job_of(row), token, self._lease_s)
