"""Jobs: each in a task of its own, in chunks, within a time; one leader where one instance is to do it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from servicekit.maintenance import Job, JobRun, LeaseLost, Maintenance
from servicekit.maintenance.leadership import Leadership
from testkit.databases import Database
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

Do = Callable[[JobRun], Awaitable[int]]


def instance(
    database: Database, *jobs: Job, owner: str = "one", registry: CollectorRegistry | None = None
) -> AbstractAsyncContextManager[None]:
    """Return an instance that runs *jobs*."""
    return Maintenance(
        jobs, dsn=database.dsn_app, application="test", owner=owner, registry=registry or CollectorRegistry()
    ).running()


def counting(counts: list[int], rows: int = 0) -> Do:
    """Return what adds itself to *counts* and says that it dealt with *rows* rows."""

    async def run(_: JobRun) -> int:
        counts.append(rows)
        return rows

    return run


async def at_least(counts: list[int], runs: int) -> None:
    async def there_are() -> bool:
        return len(counts) >= runs

    await eventually(there_are)


@asynccontextmanager
async def session(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn_app)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_job_that_hangs_stops_no_other_and_is_given_up(database: Database) -> None:
    others: list[int] = []
    begun: list[int] = []
    registry = CollectorRegistry()

    async def hang(run: JobRun) -> int:
        begun.append(0)
        await run.connection.execute("select pg_sleep(3600)")
        return 0

    hanging = Job(name="hanging", interval_s=0.01, deadline_s=0.2, run=hang)
    other = Job(name="other", interval_s=0.01, run=counting(others))
    async with instance(database, hanging, other, registry=registry):
        await at_least(begun, 3)
        await at_least(others, 3)

    assert (registry.get_sample_value("maintenance_runs_total", {"job": "hanging", "outcome": "failed"}) or 0) >= 2
    assert registry.get_sample_value("maintenance_runs_total", {"job": "hanging", "outcome": "done"}) == 0


async def test_a_job_that_is_not_done_for_three_intervals_is_late(database: Database) -> None:
    begun: list[int] = []

    async def fail(_: JobRun) -> int:
        begun.append(0)
        raise RuntimeError("never done")

    failing = Job(name="failing", interval_s=0.01, deadline_s=0.01, run=fail)
    rare = Job(name="rare", interval_s=3_600, run=counting([]))
    registry = CollectorRegistry()
    maintenance = Maintenance([failing, rare], dsn=database.dsn_app, application="test", owner="one", registry=registry)

    async def is_late() -> bool:
        check = (await maintenance.check())["maintenance"]
        return (check.ok, check.detail) == (False, "late: failing")

    assert (await maintenance.check())["maintenance"].detail == "none late"
    async with maintenance.running():
        await at_least(begun, 3)
        await eventually(is_late)
    assert registry.get_sample_value("maintenance_interval_seconds", {"job": "rare"}) == 3_600


async def test_a_job_that_raises_is_due_again(database: Database) -> None:
    runs: list[int] = []

    async def fail(_: JobRun) -> int:
        runs.append(0)
        raise ValueError("a bug")

    async with instance(database, Job(name="failing", interval_s=0.01, run=fail)):
        await at_least(runs, 3)


async def test_lots_are_repeated_while_they_are_full(database: Database) -> None:
    left = [1_000, 1_000, 1_000, 999]
    done: list[int] = []

    async def run(_: JobRun) -> int:
        done.append(left.pop(0) if left else 0)
        return done[-1]

    async with instance(database, Job(name="chunks", interval_s=3600, chunk_rows=1_000, run=run)):
        await at_least(done, 4)
        await asyncio.sleep(0)

    assert done == [1_000, 1_000, 1_000, 999]


async def test_a_turn_ends_in_time_though_there_is_more_to_do(database: Database) -> None:
    chunks: list[int] = []
    endless = Job(name="endless", interval_s=3600, chunk_rows=1, repeat_s=0, run=counting(chunks, rows=1))
    registry = CollectorRegistry()

    async def turn_ended() -> bool:
        return registry.get_sample_value("maintenance_runs_total", {"job": "endless", "outcome": "done"}) == 1

    async with instance(database, endless, registry=registry):
        await eventually(turn_ended)

    assert chunks == [1]


async def test_one_instance_leads_and_the_other_follows_it(database: Database) -> None:
    first: list[int] = []
    second: list[int] = []

    def led(counts: list[int]) -> Job:
        return Job(name="led", interval_s=0.02, has_leader=True, run=counting(counts))

    async with instance(database, led(second), owner="two"):
        await at_least(second, 1)
        async with instance(database, led(first), owner="one"):
            await at_least(second, 5)
            assert first == []
    # The leader has ended and freed its lease.
    async with instance(database, led(first), owner="one"):
        await at_least(first, 1)


async def test_a_lease_is_taken_over_only_once_it_ran_out(database: Database) -> None:
    leader = Leadership("job", owner="leader", lease_s=3600)
    follower = Leadership("job", owner="follower", lease_s=3600)
    async with session(database) as connection:
        assert await leader.take(connection)
        assert not await follower.take(connection)
        await connection.execute("update servicekit.lease set expires_at = clock_timestamp()")
        assert await follower.take(connection)
        assert not await leader.take(connection)


async def test_who_lost_its_lease_writes_nothing(database: Database) -> None:
    zombie = Leadership("job", owner="zombie", lease_s=3600)
    successor = Leadership("job", owner="successor", lease_s=3600)
    async with session(database) as connection, session(database) as other:
        assert await zombie.take(connection)
        await other.execute("update servicekit.lease set expires_at = clock_timestamp()")
        assert await successor.take(other)

        with pytest.raises(LeaseLost):
            async with JobRun(connection, zombie).transaction():
                pytest.fail("the body of a fenced transaction must not run")
        async with JobRun(other, successor).transaction():
            pass


async def test_nobody_takes_over_while_the_leader_writes(database: Database) -> None:
    leader = Leadership("job", owner="leader", lease_s=3600)
    follower = Leadership("job", owner="follower", lease_s=3600)
    async with session(database) as connection, session(database) as other:
        assert await leader.take(connection)
        await connection.execute("update servicekit.lease set expires_at = clock_timestamp()")
        await other.execute("set lock_timeout = '50ms'")
        async with JobRun(connection, leader).transaction():
            assert not await follower.take(other)
        assert not await follower.take(other)  # the transaction extended the lease
