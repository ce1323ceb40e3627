"""The queue of jobs over real tables: limits, turns, tokens, ends and what is forgotten."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from servicekit.maintenance import JobRun
from servicekit.postgres import Pool
from servicekit.principal import Principal
from testkit.access import TENANT, principal_of
from transaction_history.domain.jobs import ATTEMPTS_MAX, QUEUED_MAX, RUNNING_MAX, JobStatus, Reason
from transaction_history.jobs.commands import JobCommands, JobEnded, JobUnknown, TooManyJobs
from transaction_history.jobs.maintaining_postgres import JobKeeping
from transaction_history.jobs.metrics import JobMetrics
from transaction_history.jobs.objects import Objects
from transaction_history.jobs.queue_postgres import JobLease, JobQueue, LeaseGone
from transaction_history.jobs.rows import Job, JobFile, Part

pytestmark = pytest.mark.integration

OTHER = UUID("00000000-0000-7000-8000-000000000002")
FILE = JobFile(name="entries.csv", media_type="text/csv", rows=1, size_bytes=3, sha256=b"\1" * 32)
LEASE_S = 60.0


class Bench:
    """A queue, and what callers do with its jobs."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.commands = JobCommands()
        self.queue = JobQueue(pool, lease_s=LEASE_S)

    async def submit(self, caller: Principal | None = None) -> Job | TooManyJobs:
        async with self.pool.transaction() as tx:
            return await self.commands.submit(tx, caller or principal_of(), "export", "{}")

    async def submitted(self, tenant_id: UUID = TENANT) -> Job:
        job = await self.submit(principal_of(tenant_id=tenant_id))
        assert isinstance(job, Job)
        return job

    async def taken(self) -> JobLease:
        lease = await self.queue.take()
        assert lease is not None
        return lease

    async def cancel(self, job_id: UUID, caller: Principal | None = None) -> Job | JobUnknown | JobEnded:
        async with self.pool.transaction() as tx:
            return await self.commands.cancel(tx, caller or principal_of(), job_id)

    async def execute(self, statement: str, *values: object) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement, *values)

    async def value(self, query: str, *values: object) -> object:
        async with self.pool.connection() as connection:
            found: object = await connection.fetchval(query, *values)
            return found

    async def status(self, job: Job) -> object:
        return await self.value("select status from history_jobs.job where id = $1", job.id)

    async def events(self) -> object:
        return await self.value("select count(*) from servicekit.outbox")

    async def lose_leases(self) -> None:
        """Have every worker stand still for longer than it has its jobs."""
        await self.execute("update history_jobs.job set leased_until = now() - interval '1 s' where status = 'running'")


@pytest.fixture
def bench(pool: Pool) -> Bench:
    return Bench(pool)


async def test_a_tenant_has_so_many_jobs_waiting_and_no_more(bench: Bench) -> None:
    jobs = [await bench.submit() for _ in range(QUEUED_MAX)]

    assert all(isinstance(job, Job) for job in jobs)
    assert isinstance(await bench.submit(), TooManyJobs)
    assert isinstance(await bench.submit(principal_of(tenant_id=OTHER)), Job)
    assert await bench.value("select count(*) from history_jobs.job") == QUEUED_MAX + 1


async def test_a_tenant_has_two_jobs_under_way_and_who_waited_longest_is_next(bench: Bench) -> None:
    ours = [await bench.submitted() for _ in range(4)]
    theirs = [await bench.submitted(OTHER) for _ in range(1)]

    taken = [await bench.taken() for _ in range(RUNNING_MAX + 1)]

    assert [lease.job.id for lease in taken] == [ours[0].id, theirs[0].id, ours[1].id]
    assert await bench.queue.take() is None
    await taken[0].succeed(FILE, kept_days=7)
    assert (await bench.taken()).job.id == ours[2].id


async def test_workers_side_by_side_take_each_job_once_and_two_of_a_tenant(bench: Bench) -> None:
    for _ in range(5):
        await bench.submitted()
        await bench.submitted(OTHER)

    found = await asyncio.gather(*(bench.queue.take() for _ in range(8)))
    found += [await bench.queue.take() for _ in range(8)]  # who met a locked row comes again

    taken = [lease.job for lease in found if lease is not None]
    assert len({job.id for job in taken}) == len(taken) == 2 * RUNNING_MAX
    assert sorted(job.tenant_id for job in taken) == sorted([TENANT, OTHER] * RUNNING_MAX)


async def test_who_lost_a_job_writes_nothing(bench: Bench) -> None:
    job = await bench.submitted()
    late = await bench.taken()
    await bench.lose_leases()
    lease = await bench.taken()
    part = Part(number=0, object="x", rows=1, size_bytes=3, is_served=True, after=None)

    for write in (
        late.extend(5),
        late.add_part(part),
        late.succeed(FILE, kept_days=7),
        late.fail(Reason.BUG),
        late.give_back(),
    ):
        with pytest.raises(LeaseGone):
            await write

    assert (lease.job.id, lease.job.attempts, await bench.events()) == (job.id, 2, 0)
    await lease.add_part(part)
    await lease.succeed(FILE, kept_days=7)
    assert (await bench.status(job), list(await late.parts()), await bench.events()) == ("succeeded", [part], 1)


async def test_a_job_whose_workers_die_again_and_again_fails(bench: Bench) -> None:
    job = await bench.submitted()
    for _ in range(ATTEMPTS_MAX):
        await bench.taken()
        await bench.lose_leases()

    assert await bench.queue.take() is None

    found = await bench.value("select (status, failure)::text from history_jobs.job where id = $1", job.id)
    assert (found, await bench.events()) == ("(failed,worker_lost)", 1)


async def test_a_failed_attempt_is_followed_by_another_until_the_last(bench: Bench) -> None:
    job = await bench.submitted()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        lease = await bench.taken()
        await lease.fail(Reason.OBJECTS)
        assert await bench.queue.take() is None, "it waits for a while"
        assert lease.job.attempts == attempt
        await bench.execute("update history_jobs.job set due_at = now()")

    assert await bench.queue.take() is None
    found = await bench.value("select (status, failure)::text from history_jobs.job where id = $1", job.id)
    assert (found, await bench.events()) == ("(failed,object_store)", 1)


async def test_what_is_given_back_goes_on_at_once_and_counts_as_no_attempt(bench: Bench) -> None:
    await bench.submitted()
    for _ in range(ATTEMPTS_MAX + 2):
        lease = await bench.taken()
        await lease.give_back()

    assert lease.job.attempts == 1


async def test_a_cancelled_job_has_ended_and_is_told_of_once(bench: Bench) -> None:
    waiting, under_way = await bench.submitted(), await bench.submitted(OTHER)
    lease = await bench.taken()
    lease = lease if lease.job.id == under_way.id else await bench.taken()

    first = await bench.cancel(waiting.id)
    again = await bench.cancel(waiting.id)
    theirs = await bench.cancel(under_way.id, principal_of(tenant_id=OTHER))

    assert isinstance(first, Job)
    assert isinstance(theirs, Job)
    assert first == again
    assert first.status is theirs.status is JobStatus.CANCELLED
    with pytest.raises(LeaseGone):
        await lease.extend(1)
    assert await bench.events() == 2


async def test_what_has_ended_otherwise_cannot_be_cancelled_and_anothers_is_not_there(bench: Bench) -> None:
    job = await bench.submitted()
    lease = await bench.taken()
    await lease.succeed(FILE, kept_days=7)

    assert isinstance(await bench.cancel(job.id), JobEnded)
    assert isinstance(await bench.cancel(job.id, principal_of(tenant_id=OTHER)), JobUnknown)
    assert isinstance(await bench.cancel(job.id, principal_of(acts_for=frozenset({"alice"}))), JobUnknown)
    assert isinstance(await bench.cancel(new_id()), JobUnknown)


@asynccontextmanager
async def run_of(pool: Pool) -> AsyncIterator[JobRun]:
    connection = await pool.connect_apart()
    try:
        yield JobRun(connection, None)
    finally:
        await connection.close()


async def test_files_expire_their_objects_go_and_at_last_their_rows(bench: Bench, tmp_path: Path) -> None:
    objects = Objects(str(tmp_path / "objects"), {})
    keeping = JobKeeping(objects, JobMetrics(CollectorRegistry()), lease_s=LEASE_S, keys_days=30)
    kept, old = await bench.submitted(), await bench.submitted(OTHER)
    (tmp_path / "data").write_bytes(b"abc")
    for job in (kept, old):
        await (await bench.taken()).succeed(FILE, kept_days=7)
        await objects.put(f"{job.tenant_id}/{job.id}/a/000000", tmp_path / "data")
    await bench.execute(
        """update history_jobs.job set expires_at = now() - interval '1 s', finished_at = now() - interval '8 days'
           where id = $1""",
        old.id,
    )

    async with run_of(bench.pool) as run:
        done = [
            await keeping.expire(run),
            await keeping.clear(run),
            await keeping.forget(run),
            await keeping.measure(run),
        ]
        await bench.execute("update history_jobs.job set finished_at = now() - interval '1 year' where id = $1", old.id)
        forgotten = await keeping.forget(run)

    files = [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert (done, forgotten) == ([1, 1, 0, 0], 1)
    assert [str(kept.id) in str(path) for path in files] == [True]
    assert await bench.value("select count(*) from history_jobs.job") == 1


async def test_old_keys_are_forgotten(bench: Bench, tmp_path: Path) -> None:
    keeping = JobKeeping(Objects(str(tmp_path), {}), JobMetrics(CollectorRegistry()), lease_s=LEASE_S, keys_days=30)
    await bench.execute(
        """insert into history_jobs.idempotency (client, key, fingerprint, status, body, created_at)
           select $1, n::text, '', 200, '', now() - make_interval(days => 20 * n) from generate_series(0, 3) as n""",
        new_id(),
    )

    async with run_of(bench.pool) as run:
        forgotten = await keeping.forget_keys(run)

    assert (forgotten, await bench.value("select count(*) from history_jobs.idempotency")) == (2, 2)
