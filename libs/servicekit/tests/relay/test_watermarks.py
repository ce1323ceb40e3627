"""What a relay tells of up to where its topic is complete."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.ids import SHARDS
from contracts.watermarks import Watermark
from servicekit.relay.journal import Look
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.settings import WatermarkSettings
from servicekit.relay.shards import HeldShard, HeldShards, Mark
from servicekit.relay.watermarks import note, published, uncut
from testkit.events import Stream, wallet_in
from testkit.pytest_plugin import MakeTopic
from testkit.relay_bench import PARTITIONS, Bench
from testkit.running import running
from testkit.waiting import eventually
from testkit.watermarks import read_watermarks

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
LATER = AT + timedelta(seconds=1)
UNBOUNDED = 1 << 30
EVERY_S = 0.05


def events_of(shard: int, count: int) -> list[Envelope]:
    stream, wallet = Stream(), wallet_in(shard)
    return [stream.deposited(wallet) for _ in range(count)]


def held(published_seqs: Mapping[int, int]) -> HeldShards:
    shards = HeldShards(RelayMetrics(CollectorRegistry()))
    for shard, sequence in published_seqs.items():
        shards[shard] = HeldShard(1, Mark(sequence, UUID(int=sequence)))
    return shards


def test_a_shard_of_which_nothing_was_found_is_all_seen_at_its_cursor() -> None:
    assert uncut([], {1: 7, 2: 0}, 10, UNBOUNDED) == {1: 7, 2: 0}


def test_a_shard_is_all_seen_at_the_last_row_unless_a_bound_may_have_cut_the_look_off() -> None:
    events = [*events_of(1, 9), *events_of(2, 10), *events_of(3, 1)]
    size_bytes = len(events[0].data)

    assert uncut(events, {1: 0, 2: 0, 3: 0}, 10, UNBOUNDED) == {1: 9, 3: 1}
    assert uncut(events, {1: 0, 2: 0, 3: 0}, 100, 9 * size_bytes) == {3: 1}
    assert uncut(events, {1: 0, 2: 0, 3: 0}, 100, 11 * size_bytes) == {1: 9, 2: 10, 3: 1}


def test_only_what_is_acknowledged_is_told() -> None:
    shards = held({1: 5, 2: 5})
    note(shards, Look([], AT), {1: 5, 2: 6})
    assert published(shards) == [Watermark(shard=1, seq=5, read_at=AT)]

    shards[2].published = Mark(6)

    assert published(shards)[1] == Watermark(shard=2, seq=6, read_at=AT)


def test_a_look_that_was_cut_off_takes_nothing_back() -> None:
    shards = held({1: 5})
    note(shards, Look([], AT), {1: 5})
    note(shards, Look([], LATER), {})

    assert published(shards) == [Watermark(shard=1, seq=5, read_at=AT)]


def test_nothing_is_told_of_a_shard_that_was_lost_or_taken_anew() -> None:
    shards = held({1: 5, 2: 5})
    note(shards, Look([], AT), {1: 5, 2: 5})
    shards.give_up([1, 2])
    shards.update(held({2: 5}))
    assert published(shards) == []

    note(shards, Look([], LATER), {1: 5, 2: 5})  # read while it was lost

    assert published(shards) == [Watermark(shard=2, seq=5, read_at=LATER)]


@pytest.mark.integration
async def test_every_shard_is_told_of_again_and_again_also_one_that_is_idle(
    bench: Bench, make_topic: MakeTopic
) -> None:
    topic = await make_topic(configs={"cleanup.policy": "compact"})
    await bench.write([1], 1, 5)

    async with running(bench.relay("a", watermarks=WatermarkSettings(topic=topic, every_s=EVERY_S))):
        await eventually(lambda: has_told(bench, topic, 2))
        before = newest(await read_watermarks(bench.bootstrap, topic))
        await bench.write([1, 2], 6, 7)
        await eventually(lambda: has_told_that(bench, topic, {1: 7}))

    told = await read_watermarks(bench.bootstrap, topic)
    assert {shard: watermark.seq for shard, watermark in before.items()} == {s: 5 * (s == 1) for s in range(SHARDS)}
    assert newest(told)[2].seq == 0, "it begins with a gap: nothing of it is published"
    for shard in range(SHARDS):
        reads = [watermark.read_at for watermark in told if watermark.shard == shard]
        assert reads == sorted(set(reads))
    async with bench.pool.connection() as connection:
        assert await connection.fetchval("select clock_timestamp() - $1 < interval '1 minute'", told[-1].read_at)


@pytest.mark.integration
async def test_what_lies_behind_a_bound_is_told_of_only_once_it_is_published(
    bench: Bench, make_topic: MakeTopic
) -> None:
    topic = await make_topic()
    await bench.write([1], 1, 95)
    settings = WatermarkSettings(topic=topic, every_s=0.001)

    async with running(bench.relay("a", watermarks=settings, rows_per_shard_max=10)):
        await eventually(lambda: has_told_that(bench, topic, {1: 95}))

    told = await read_watermarks(bench.bootstrap, topic)
    assert {watermark.seq for watermark in told if watermark.shard == 1} == {95}
    assert {watermark.shard for watermark in told} == set(range(SHARDS))


@pytest.mark.integration
async def test_a_relay_publishes_where_there_is_no_topic_of_watermarks(bench: Bench) -> None:
    settings = WatermarkSettings(topic=f"{bench.topic}-none", every_s=EVERY_S)

    async with running(bench.relay("a", watermarks=settings)):
        await bench.write([1], 1, 5)
        await eventually(lambda: bench.has_published(5))
        await eventually(lambda: has_failed(bench))
        await bench.write([1], 6, 9)
        await eventually(lambda: bench.has_published(9))

    assert await bench.first_occurrences() == {1: list(range(1, 10))}


@pytest.mark.integration
async def test_two_relays_tell_of_all_shards_between_them(bench: Bench, make_topic: MakeTopic) -> None:
    topic = await make_topic()
    settings = WatermarkSettings(topic=topic, every_s=EVERY_S)

    async with running(bench.relay("a", lease_s=4.0, watermarks=settings)):
        await eventually(lambda: has_told(bench, topic, 1))
        async with running(bench.relay("b", lease_s=4.0, watermarks=settings)):
            await bench.write(range(SHARDS), 1, 3)
            await eventually(lambda: has_told_that(bench, topic, dict.fromkeys(range(SHARDS), 3)))
            await eventually(lambda: has_written(bench, 1))

    assert PARTITIONS < SHARDS, "each has some shards of each partition"


def newest(told: list[Watermark]) -> dict[int, Watermark]:
    return {watermark.shard: watermark for watermark in told}


async def has_told(bench: Bench, topic: str, times: int) -> bool:
    return len(await read_watermarks(bench.bootstrap, topic)) >= times * SHARDS


async def has_told_that(bench: Bench, topic: str, wanted: Mapping[int, int]) -> bool:
    found = newest(await read_watermarks(bench.bootstrap, topic))
    return {shard: found[shard].seq for shard in wanted if shard in found} == wanted


async def has_failed(bench: Bench) -> bool:
    errors = bench.registries[0].collect()
    samples = [sample for family in errors for sample in family.samples]
    return any(sample.name == "relay_watermark_failures_total" and sample.value for sample in samples)


async def has_written(bench: Bench, instance: int) -> bool:
    return bench.metric("relay_watermarks_total", instance) > 0
