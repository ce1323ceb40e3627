"""The relay on a real journal and a real broker."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import SHARDS
from engines.kafka import KafkaBroker
from engines.ports import free_ports
from servicekit.broker_probe import BrokerProbe
from servicekit.brokers import Brokers
from servicekit.dependencies import Dependencies, Dependency
from servicekit.lifecycle import Shutdown
from servicekit.relay import halts, publisher
from servicekit.relay.errors import LeasesLost, TopicAhead
from testkit.relay_bench import PARTITIONS, Bench
from testkit.running import running
from testkit.topics import temporary_topic
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


async def test_every_row_is_published_in_order_to_its_shards_partition(bench: Bench) -> None:
    await bench.write(range(SHARDS), 1, 150)

    async with running(bench.relay("a")):
        await eventually(lambda: cursors_are(bench, dict.fromkeys(range(SHARDS), 150)))

    events = await bench.topic_events()
    assert {(event.shard, partition) for partition, event in events} == {(s, s % PARTITIONS) for s in range(SHARDS)}
    assert await bench.first_occurrences() == {s: list(range(1, 151)) for s in range(SHARDS)}
    assert len(events) == bench.metric("relay_published_total") == SHARDS * 150
    assert bench.metric("relay_last_acknowledged_timestamp_seconds") > 0


async def test_an_event_that_is_far_ahead_of_the_brokers_clock_holds_nothing(bench: Bench) -> None:
    await bench.write(range(SHARDS), 1, 2, ahead=timedelta(days=2))

    async with running(bench.relay("a")):
        await eventually(lambda: cursors_are(bench, dict.fromkeys(range(SHARDS), 2)))


async def cursors_are(bench: Bench, wanted: dict[int, int]) -> bool:
    return await bench.cursors() == wanted


async def test_a_stopped_relay_has_moved_its_cursors_and_freed_its_leases(bench: Bench) -> None:
    await bench.write([5], 1, 10)

    async with running(bench.relay("a")):
        await eventually(lambda: published(bench, 10))

    assert await bench.cursors() == {5: 10}
    assert await bench.owners() == {None: SHARDS}


async def published(bench: Bench, records: int, instance: int = 0) -> bool:
    return bench.metric("relay_published_total", instance) >= records


async def test_two_relays_share_the_shards_and_the_last_one_takes_all(bench: Bench) -> None:
    async with running(bench.relay("a", lease_s=4.0)):
        await eventually(lambda: owners_are(bench, {"a": SHARDS}))
        async with running(bench.relay("b", lease_s=4.0)):
            await eventually(lambda: owners_are(bench, {"a": SHARDS // 2, "b": SHARDS // 2}))
            await bench.write(range(SHARDS), 1, 20)
            await eventually(lambda: cursors_are(bench, dict.fromkeys(range(SHARDS), 20)))
        await eventually(lambda: owners_are(bench, {"a": SHARDS}))
        await bench.write(range(SHARDS), 21, 40)
        await eventually(lambda: cursors_are(bench, dict.fromkeys(range(SHARDS), 40)))

    assert await bench.first_occurrences() == {s: list(range(1, 41)) for s in range(SHARDS)}


async def owners_are(bench: Bench, wanted: dict[str | None, int]) -> bool:
    return await bench.owners() == wanted


async def test_a_relay_that_cannot_renew_its_leases_tells_that_it_holds_none(bench: Bench) -> None:
    async with running(bench.relay("a", lease_s=2.0)):
        await eventually(lambda: held(bench, SHARDS))
        async with bench.pool.transaction() as elsewhere:
            await elsewhere.connection.execute("select from servicekit.relay_lease for update")
            await eventually(lambda: held(bench, 0))
        await eventually(lambda: held(bench, SHARDS))


async def held(bench: Bench, shards: int) -> bool:
    return bench.metric("relay_leases_held") == shards


async def test_a_relay_that_dies_between_acknowledgement_and_cursor_leaves_repeats_only(bench: Bench) -> None:
    await bench.write(range(8), 1, 100)
    doomed = bench.relay("doomed", lease_s=1.0)
    doomed._moved_s = float("inf")  # never moves a cursor
    task = asyncio.create_task(doomed.run(Shutdown()))
    await eventually(lambda: published(bench, 800))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await bench.cursors() == {}

    await bench.write(range(8), 101, 120)
    async with running(bench.relay("heir", lease_s=1.0)):
        await eventually(lambda: cursors_are(bench, dict.fromkeys(range(8), 120)))

    assert len(await bench.topic_events()) == 8 * 100 + 8 * 120
    assert await bench.first_occurrences() == {s: list(range(1, 121)) for s in range(8)}


async def test_two_relays_forced_on_the_same_shards_keep_the_order_of_first_occurrences(bench: Bench) -> None:
    blind = bench.relay("blind", lease_s=1.0)
    task = asyncio.create_task(blind.run(Shutdown()))
    await eventually(lambda: owners_are(bench, {"blind": SHARDS}))
    blind._renewed_s = blind._moved_s = float("inf")  # never renews, never finds out that it owns nothing any more

    async with running(bench.relay("owner", lease_s=1.0)):
        await eventually(lambda: owners_are(bench, {"owner": SHARDS}))
        for first in range(1, 200, 20):
            await bench.write(range(4), first, first + 19)
            await eventually(partial(cursors_are, bench, dict.fromkeys(range(4), first + 19)))
        await eventually(lambda: published(bench, 800))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert len(await bench.topic_events()) > 800
    assert await bench.first_occurrences() == {s: list(range(1, 201)) for s in range(4)}


async def test_a_producer_is_replaced_before_its_sequence_numbers_wrap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "RECORDS_PER_PRODUCER_MAX", 50)
    async with running(bench.relay("a")):
        for first in range(1, 40, 10):
            await bench.write(range(6), first, first + 9)
            await eventually(partial(published, bench, 6 * (first + 9)))
        assert bench.metric("relay_producers_total") >= 4

    assert await bench.first_occurrences() == {s: list(range(1, 41)) for s in range(6)}


async def test_a_gap_stops_its_shard_and_no_other(bench: Bench) -> None:
    await bench.write([1, 2], 1, 5)
    await bench.write([1, 2], 7, 9)
    await bench.write([2], 6, 6)

    async with running(bench.relay("a")):
        await eventually(lambda: cursors_are(bench, {1: 5, 2: 9}))
        assert bench.metric("relay_shards_stopped") == 1

    assert await bench.first_occurrences() == {1: [1, 2, 3, 4, 5], 2: list(range(1, 10))}


async def test_a_shard_that_another_owner_took_is_dropped(bench: Bench) -> None:
    async with running(bench.relay("a", lease_s=2.0)):
        await eventually(lambda: owners_are(bench, {"a": SHARDS}))
        await steal(bench, shard=3)
        await bench.write([3], 1, 5)
        await eventually(lambda: lost(bench, 1))

    assert await bench.cursors() == {}
    assert await bench.owners() == {None: SHARDS - 1, "thief": 1}


async def test_a_cursor_that_a_crash_of_the_database_took_back_is_repeated_and_goes_on(bench: Bench) -> None:
    async with running(bench.relay("a", lease_s=2.0)):
        await bench.write([3], 1, 5)
        await eventually(lambda: cursors_are(bench, {3: 5}))
        async with bench.pool.connection() as connection:
            await connection.execute("update servicekit.relay_lease set cursor = 2 where shard = 3")
        await bench.write([3], 6, 7)

        await eventually(lambda: cursors_are(bench, {3: 7}))

    assert await lost(bench, 1)
    assert (await bench.first_occurrences())[3] == [1, 2, 3, 4, 5, 6, 7]


async def steal(bench: Bench, shard: int | None = None) -> None:
    async with bench.pool.connection() as connection:
        await connection.execute(
            """update servicekit.relay_lease
               set owner = 'thief', epoch = epoch + 1, expires_at = clock_timestamp() + interval '1 hour'
               where shard = coalesce($1, shard)""",
            shard,
        )


async def lost(bench: Bench, shards: int) -> bool:
    return bench.metric("relay_leases_lost_total") >= shards


async def test_a_relay_that_stood_still_beyond_its_lease_ends(bench: Bench) -> None:
    relay = bench.relay("zombie", lease_s=2.0)
    task = asyncio.create_task(relay.run(Shutdown()))
    await eventually(lambda: owners_are(bench, {"zombie": SHARDS}))
    await steal(bench)

    relay._renewed_s -= 60  # as if the process had been stopped for a minute

    with pytest.raises(LeasesLost) as ended:
        await task
    assert ended.value.exit_code == 75


async def test_a_journal_restored_behind_its_topic_is_refused_until_an_operator_decides(bench: Bench) -> None:
    await bench.write([7], 1, 20)
    async with running(bench.relay("a")):
        await eventually(lambda: cursors_are(bench, {7: 20}))
    async with bench.pool.connection() as connection:
        await connection.execute("delete from outbox.journal where seq > 15")
        await connection.execute("update servicekit.relay_lease set cursor = 15 where shard = 7")

    with pytest.raises(TopicAhead):
        await bench.relay("b").run(Shutdown())

    async with bench.pool.connection() as connection:
        (halt,) = await halts.active(connection)
        assert (halt.shard, halt.sequence) == (7, 20)
        assert await bench.owners() == {None: SHARDS}
        assert await halts.clear(connection, operator="an operator") == 1
    await bench.write([7], 16, 30)
    async with running(bench.relay("c", lease_s=4.0)):
        await eventually(lambda: cursors_are(bench, {7: 30}))


async def test_lag_grows_while_the_broker_is_away_and_drains_afterwards(bench: Bench, own_kafka: KafkaBroker) -> None:
    bench.bootstrap = own_kafka.bootstrap_servers
    async with temporary_topic(bench.bootstrap, PARTITIONS) as bench.topic:
        probe, dependencies = BrokerProbe(Brokers(bench.bootstrap), "test"), Dependencies(CollectorRegistry())
        watching = dependencies.watching({Dependency.BROKER: probe.ask})
        async with running(bench.relay("a")), aclosing(probe), watching:
            await bench.write(range(16), 1, 50)
            await eventually(lambda: published(bench, 800))
            await eventually(lambda: broker_is_up(dependencies))
            own_kafka.kill()
            assert not await broker_is_up(dependencies)
            await bench.write(range(16), 51, 200)
            await eventually(lambda: lagging(bench, 16 * 150))
            await eventually(lambda: replaced(bench))
            await asyncio.to_thread(own_kafka.start)
            await eventually(lambda: cursors_are(bench, dict.fromkeys(range(16), 200)))
            await eventually(lambda: lag_is_gone(bench))
            await eventually(lambda: broker_is_up(dependencies))

        assert await bench.first_occurrences() == {s: list(range(1, 201)) for s in range(16)}


async def test_lag_shows_where_the_broker_was_never_there(bench: Bench) -> None:
    bench.bootstrap = f"127.0.0.1:{free_ports(1)[0]}"
    await bench.write([1], 1, 5)

    async with running(bench.relay("a", lease_s=1.0)):
        await eventually(lambda: lagging(bench, 5))


async def broker_is_up(dependencies: Dependencies) -> bool:
    return (await dependencies.check())["broker"].ok


async def lagging(bench: Bench, rows: int) -> bool:
    return bench.metric("relay_lag_rows") >= rows


async def lag_is_gone(bench: Bench) -> bool:
    return bench.metric("relay_lag_rows") == 0


async def replaced(bench: Bench) -> bool:
    return bench.metric("relay_producers_total") > 1
