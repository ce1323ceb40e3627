"""A partition that cannot be written or read holds its own shards and no others."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import NotLeaderForPartitionError

from contracts.ids import SHARDS, partition_of
from servicekit.brokers import Brokers
from servicekit.relay import relay as relay_module
from servicekit.relay import topic_end
from servicekit.relay.publisher import Publisher, Sending
from servicekit.relay.reading import ReadSize
from servicekit.relay.topic_end import TopicEnds, read_topic_ends
from testkit.relay_bench import PARTITIONS, Bench
from testkit.running import running
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

DOWN = 3
HELD = [shard for shard in range(SHARDS) if partition_of(shard, PARTITIONS) == DOWN]
OTHERS = [shard for shard in range(SHARDS) if partition_of(shard, PARTITIONS) != DOWN]


class Leaderless(Publisher):
    """Has a partition that takes nothing until `leads` is set: it refuses, or where it `hangs` never answers.

    What it was given *first* it takes all the same.
    """

    leads: asyncio.Event
    hangs = False
    first = 0

    async def _send(self, producer: AIOKafkaProducer, sending: Sending) -> None:
        if sending.partition != DOWN or self.leads.is_set():
            await super()._send(producer, sending)
            return
        if self.first:
            taken = Sending(DOWN, sending.events[: self.first])
            await super()._send(producer, taken)
            sending.has_acknowledged(taken.acknowledged, taken.offset_of(0))
        if self.hangs:
            await self.leads.wait()
        raise NotLeaderForPartitionError


async def repeated(bench: Bench) -> set[tuple[int, int]]:
    counts = Counter((event.shard, event.sequence) for _, event in await bench.topic_events())
    return {place for place, count in counts.items() if count > 1}


@pytest.mark.parametrize(("hangs", "first"), [(False, 0), (True, 0), (False, 5), (True, 5)])
async def test_a_partition_without_a_leader_holds_its_own_shards_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, hangs: bool, first: int
) -> None:
    monkeypatch.setattr(Leaderless, "leads", asyncio.Event(), raising=False)
    monkeypatch.setattr(Leaderless, "hangs", hangs)
    monkeypatch.setattr(Leaderless, "first", first)
    async with running(bench.relay("a", lease_s=4.0, publisher_class=Leaderless)):
        for last in (20, 40, 60):
            await bench.write(range(SHARDS), last - 19, last)
            await eventually(partial(reached, bench, OTHERS, last))
        assert await reached(bench, HELD, 0) or first
        await eventually(lambda: tells_held(bench, 1))
        assert {place for place in await repeated(bench) if place[0] in OTHERS} == set()

        Leaderless.leads.set()
        await eventually(lambda: reached(bench, range(SHARDS), 60))
        await eventually(lambda: tells_held(bench, 0))

    assert await repeated(bench) == set()
    assert await bench.first_occurrences() == {s: list(range(1, 61)) for s in range(SHARDS)}


async def reached(bench: Bench, shards: Collection[int], last: int) -> bool:
    cursors = await bench.cursors()
    return all(cursors.get(shard, 0) == last for shard in shards)


async def tells_held(bench: Bench, partitions: int) -> bool:
    return bench.metric("relay_partitions_held") == partitions


async def test_a_relay_that_starts_takes_the_shards_of_the_partitions_that_can_be_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_down = True

    async def ends(brokers: Brokers, topic: str, shards: Mapping[int, Collection[int]]) -> TopicEnds:
        found = await read_topic_ends(brokers, topic, shards)
        return TopicEnds(found.ends, ({DOWN} & set(shards)) if is_down else set())

    monkeypatch.setattr(relay_module, "read_topic_ends", ends)
    await bench.write(range(SHARDS), 1, 20)
    async with running(bench.relay("a", lease_s=4.0)):
        await eventually(lambda: reached(bench, OTHERS, 20))
        assert await reached(bench, HELD, 0)
        assert await bench.owners() == {"a": len(OTHERS), None: len(HELD)}

        is_down = False
        await eventually(lambda: reached(bench, range(SHARDS), 20))


class Hesitant:
    """A client whose partition 1 has no leader to ask."""

    async def beginning_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        if parts[0].partition == 1:
            await asyncio.Event().wait()
        return dict.fromkeys(parts, 0)

    async def end_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, 0)


async def test_a_partition_that_does_not_tell_its_end_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_end, "OFFSETS_PATIENCE_S", 0.05)
    wanted = {0: [0], 1: [1], 2: [2]}

    told = await topic_end._bounds(Hesitant(), "topic", wanted)
    found = await topic_end._read(Hesitant(), told, set(wanted))

    assert [partition.part.partition for partition in told] == [0, 2]
    assert found == TopicEnds([], {1})


async def test_a_read_is_bounded_in_bytes(bench: Bench) -> None:
    await bench.write([1, 2], 1, 10, body=b"x" * 1_000)
    journal = bench.relay("a")._journal

    async with bench.pool.connection() as connection:
        events = await journal.read(connection, {1: 0, 2: 7}, 100, 2_500)
        whole = await journal.read(connection, {1: 0}, 100, 1)

    assert [(event.shard, event.sequence) for event in events] == [(1, 1), (1, 2), (1, 3), (2, 8), (2, 9), (2, 10)]
    assert [event.sequence for event in whole] == [1]


def test_a_read_is_halved_down_to_a_row_and_grows_back() -> None:
    size = ReadSize(rows_per_shard=1_000, rows=16_384, size_bytes=1 << 24)
    assert size.per_shard(64) == (256, 1 << 18)

    size.halve()
    assert size.per_shard(64) == (128, 1 << 17)
    for _ in range(30):
        size.halve()
    assert size.per_shard(64)[0] == 1
    for _ in range(30):
        size.grow()
    assert size.per_shard(1) == (1_000, 1 << 24)
