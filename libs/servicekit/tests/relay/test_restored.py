"""A relay that lives on while its database is restored, or fails over with a loss, stops instead of skipping events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from servicekit.lifecycle import Shutdown
from servicekit.relay import halts
from servicekit.relay.errors import TopicAhead
from servicekit.relay.relay import Relay
from testkit.relay_bench import Bench
from testkit.running import running
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

SHARD = 7


@asynccontextmanager
async def living(relay: Relay) -> AsyncIterator["asyncio.Task[None]"]:
    """Run *relay*, which may end by itself."""
    task = asyncio.create_task(relay.run(Shutdown()))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def restore(bench: Bench, *, to: int, cursor: int, behind_a_pooler: bool = False) -> None:
    """Take back what was committed after sequence *to*, when the cursor stood at *cursor*.

    All connections are new afterwards, unless a pooler hides that.
    """
    async with bench.pool.transaction() as tx:
        await tx.connection.execute("delete from outbox.journal where seq > $1", to)
        await tx.connection.execute("update servicekit.relay_lease set cursor = $1 where shard = $2", cursor, SHARD)
    if not behind_a_pooler:
        await bench.pool._distrust_idle()


async def halted_at(bench: Bench) -> list[tuple[int, int]]:
    async with bench.pool.connection() as connection:
        return [(halt.shard, halt.sequence) for halt in await halts.active(connection)]


@pytest.mark.parametrize("behind_a_pooler", [False, True])
async def test_a_relay_that_lives_through_a_restore_halts(bench: Bench, *, behind_a_pooler: bool) -> None:
    async with living(bench.relay("a", lease_s=2.0)) as task:
        await bench.write([SHARD], 1, 100)
        await eventually(lambda: bench.has_cursors({SHARD: 100}))

        await restore(bench, to=90, cursor=90, behind_a_pooler=behind_a_pooler)
        await bench.write([SHARD], 91, 95)

        with pytest.raises(TopicAhead):
            await asyncio.wait_for(task, 30)
    assert await halted_at(bench) == [(SHARD, 100)]
    assert len(await bench.topic_events()) == 100


@pytest.mark.parametrize("behind_a_pooler", [False, True])
async def test_a_restore_that_new_events_overtake_halts_all_the_same(bench: Bench, *, behind_a_pooler: bool) -> None:
    async with living(bench.relay("a", lease_s=2.0)) as task:
        await bench.write([SHARD], 1, 100)
        await eventually(lambda: bench.has_cursors({SHARD: 100}))

        await restore(bench, to=90, cursor=90, behind_a_pooler=behind_a_pooler)
        await bench.write([SHARD], 91, 120)

        with pytest.raises(TopicAhead):
            await asyncio.wait_for(task, 30)
    assert await halted_at(bench) == [(SHARD, 100)]
    assert await bench.cursors() == {SHARD: 90}


async def test_a_failover_that_lost_what_no_cursor_had_passed_halts_and_moves_no_cursor(bench: Bench) -> None:
    relay = bench.relay("a")
    async with living(relay) as task:
        await bench.write([SHARD], 1, 100)
        await eventually(lambda: bench.has_cursors({SHARD: 100}))
        relay._moved_s = float("inf")  # in between two moves of the cursors
        await bench.write([SHARD], 101, 110)
        await eventually(lambda: bench.has_published(110))

        await restore(bench, to=100, cursor=100)
        await bench.write([SHARD], 101, 130)
        relay._moved_s = float("-inf")

        with pytest.raises(TopicAhead):
            await asyncio.wait_for(task, 30)
    assert await halted_at(bench) == [(SHARD, 110)]
    assert await bench.cursors() == {SHARD: 100}


async def test_nothing_is_published_over_a_new_connection_before_the_journal_is_compared(bench: Bench) -> None:
    relay = bench.relay("a", lease_s=60.0)  # no renewal looks before the read does
    async with living(relay) as task:
        await bench.write([SHARD], 1, 100)
        await eventually(lambda: bench.has_cursors({SHARD: 100}))
        relay._measured_s = relay._moved_s = float("inf")

        await restore(bench, to=90, cursor=90)
        await bench.write([SHARD], 91, 95)

        with pytest.raises(TopicAhead):
            await asyncio.wait_for(task, 30)
    assert len(await bench.topic_events()) == 100


async def test_a_restore_between_two_shards_of_one_partition_is_seen_by_a_relay_that_starts(bench: Bench) -> None:
    other = SHARD + 4  # of the same partition
    async with running(bench.relay("a")):
        await bench.write([SHARD], 1, 100)
        await eventually(lambda: bench.has_cursors({SHARD: 100}))
        await bench.write([other], 1, 300)
        await eventually(lambda: bench.has_cursors({SHARD: 100, other: 300}))
    async with bench.pool.transaction() as tx:
        await tx.connection.execute("delete from outbox.journal where shard = $1 and seq > 90", SHARD)
        await tx.connection.execute("update servicekit.relay_lease set cursor = 90 where shard = $1", SHARD)

    with pytest.raises(TopicAhead):
        await bench.relay("b").run(Shutdown())

    assert await halted_at(bench) == [(SHARD, 100)]


async def test_a_journal_that_ends_before_a_cursor_is_told_as_a_loss(bench: Bench) -> None:
    async with bench.pool.connection() as connection:
        await connection.execute(
            "update servicekit.relay_lease set cursor = 50, owner = 'gone', expires_at = 'infinity' where shard = 7"
        )
        await connection.execute("update servicekit.relay_lease set expires_at = '-infinity' where shard = 7")

    async with running(bench.relay("a")):
        await eventually(lambda: tells_a_loss(bench))


async def tells_a_loss(bench: Bench) -> bool:
    return bench.metric("relay_shards_ended_before") == 1


async def test_what_an_operator_has_accepted_is_accepted_by_a_relay_that_lives(bench: Bench) -> None:
    async with living(bench.relay("a", lease_s=2.0)) as task:
        await bench.write([SHARD], 1, 20)
        await eventually(lambda: bench.has_cursors({SHARD: 20}))
        await restore(bench, to=15, cursor=15)
        with pytest.raises(TopicAhead):
            await asyncio.wait_for(task, 30)
    async with bench.pool.connection() as connection:
        assert await halts.clear(connection, operator="an operator") == 1

    await bench.write([SHARD], 16, 30)
    async with running(bench.relay("c", lease_s=2.0)):
        await eventually(lambda: bench.has_cursors({SHARD: 30}))
