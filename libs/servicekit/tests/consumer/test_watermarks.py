"""What a projection knows of how complete it is, and what its readers are told."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from contracts.ids import SHARDS
from contracts.watermarks import Watermark, WatermarkError, from_record
from servicekit.consumer import checkpoints, watermarks
from servicekit.consumer.checkpoints import Progress
from servicekit.consumer.watermarks import PER_SHARD_MAX, TRANSACTION_BOUND, Kept, Reached, Watermarks
from servicekit.read_model.projected import Freshness, Projected, freshness
from testkit.consumer_bench import Bench, Probe
from testkit.events import Stream, wallet_in
from testkit.pytest_plugin import MakeTopic
from testkit.running import running
from testkit.waiting import eventually
from testkit.watermarks import write_watermarks

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def said(*sequences: int) -> list[Watermark]:
    return [Watermark(shard=3, seq=seq, read_at=AT + number * SECOND) for number, seq in enumerate(sequences)]


def kept(told: Sequence[Watermark], applied: int) -> Kept:
    known = Watermarks()
    for watermark in told:
        known.note(watermark)
    (found,) = known.keep({3: applied}, [3, 4])
    return found


def reached(watermark: Watermark) -> Reached:
    return Reached(watermark.seq, watermark.read_at)


def test_the_newest_covered_is_kept_beside_the_newest() -> None:
    told = said(5, 8, 12, 20)

    assert kept(told, 4) == Kept(3, reached(told[3]), None)
    assert kept(told, 12) == Kept(3, reached(told[3]), reached(told[2]))
    assert kept(told, 99) == Kept(3, reached(told[3]), reached(told[3]))


def test_a_shard_without_events_is_covered_as_it_is() -> None:
    told = said(0, 0)
    known = Watermarks()
    for watermark in told:
        known.note(watermark)

    assert known.keep({}, range(SHARDS)) == [Kept(3, reached(told[1]), reached(told[1]))]


def test_the_last_word_counts_also_where_it_is_behind_one_before() -> None:
    told = said(5, 9, 7)

    assert kept(told, 8) == Kept(3, reached(told[2]), reached(told[2]))
    assert kept(told, 6) == Kept(3, reached(told[2]), reached(told[0]))


@given(
    steps=st.lists(st.integers(0, 3), min_size=1, max_size=4 * PER_SHARD_MAX),
    share=st.floats(0, 1),
)
def test_what_is_kept_is_covered_and_close_to_the_newest_that_is(steps: list[int], share: float) -> None:
    sequences = [sum(steps[: number + 1]) for number in range(len(steps))]
    told, applied = said(*sequences), int(share * sequences[-1])
    covered = [reached(watermark) for watermark in told if watermark.seq <= applied]

    found = kept(told, applied)

    assert found.known == reached(told[-1])
    assert (found.covered is None) == (not covered)
    if found.covered is not None:
        assert found.covered in covered
        if len(set(sequences)) <= PER_SHARD_MAX:
            assert found.covered == covered[-1]


def test_memory_is_bounded_however_far_a_projection_is_behind() -> None:
    known = Watermarks()
    for watermark in said(*range(10 * PER_SHARD_MAX)):
        known.note(watermark)

    assert len(known._said[3]) <= PER_SHARD_MAX


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b'{"shard":64,"seq":1,"read_at":"2026-01-31T09:30:00Z"}',
        b'{"shard":1,"seq":-1,"read_at":"2026-01-31T09:30:00Z"}',
        b'{"shard":1,"seq":1,"read_at":"2026-01-31T09:30:00"}',
        b'{"shard":1,"seq":1,"read_at":"\xff"}',
    ],
)
def test_what_is_no_watermark_is_recognized(value: bytes | None) -> None:
    with pytest.raises(WatermarkError):
        from_record(value)


def test_an_answer_is_complete_up_to_the_least_of_its_shards() -> None:
    progress = {1: Progress(5, 0, AT), 2: Progress(0, 3_500, AT - SECOND), 3: Progress(9, 10)}

    assert freshness(progress, [1, 2]) == Freshness({1: 5}, 3_500, AT - SECOND - TRANSACTION_BOUND)
    assert freshness(progress, [1, 3]) == Freshness({1: 5, 3: 9}, 10, None)
    assert freshness(progress, [1, 4]).complete_until is None
    assert freshness(progress, []).complete_until is None


async def progress_of(bench: Bench, kept_rows: Sequence[Kept]) -> dict[int, Progress]:
    async with bench.pool.connection() as connection:
        await watermarks.store(connection, "probe", kept_rows)
        return await checkpoints.progress(connection, "probe")


async def database_time(bench: Bench) -> datetime:
    async with bench.pool.connection() as connection:
        now: datetime = await connection.fetchval("select clock_timestamp()")
    return now


@pytest.mark.integration
async def test_the_lag_is_the_age_of_the_newest_that_is_covered(bench: Bench) -> None:
    stream, wallet = Stream(), wallet_in(3)
    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish([stream.deposited(wallet) for _ in range(5)])
        await eventually(lambda: bench.has_reached({3: 5}))
    now = await database_time(bench)
    minute, hour = now - timedelta(minutes=1), now - timedelta(hours=1)

    young = await progress_of(bench, [Kept(3, Reached(5, now + timedelta(minutes=1)), None)])
    assert (young[3].lag_ms, young[3].read_at) == (0, now + timedelta(minutes=1))
    old = await progress_of(bench, [Kept(3, Reached(5, minute), None)])
    assert old[3].lag_ms >= 60_000
    assert old[3].read_at == minute
    behind = await progress_of(bench, [Kept(3, Reached(6, now), Reached(4, hour))])
    assert behind[3].lag_ms >= 3_600_000
    assert behind[3].read_at == hour
    same = await progress_of(bench, [Kept(3, Reached(7, now), None)])
    assert same[3].read_at == hour, "what was covered stays where nothing newer is"


@pytest.mark.integration
async def test_what_is_not_covered_is_a_lag_of_its_own_age_at_least(bench: Bench) -> None:
    hour = await database_time(bench) - timedelta(hours=1)

    never = await progress_of(bench, [Kept(3, Reached(6, hour), None)])
    lost = await progress_of(bench, [Kept(4, Reached(6, hour), Reached(5, hour))])

    assert (never[3].last_seq, never[3].read_at) == (0, None)
    assert never[3].lag_ms >= 3_600_000
    assert lost[4].read_at is None, "checkpoints went back behind what was covered"


@pytest.mark.integration
async def test_a_consumer_keeps_what_the_topic_says(bench: Bench, make_topic: MakeTopic) -> None:
    stream, wallet, topic = Stream(), wallet_in(3), await make_topic()
    now = await database_time(bench)
    before = [Watermark(shard=shard, seq=0, read_at=now - timedelta(minutes=2)) for shard in range(SHARDS)]
    await write_watermarks(bench.bootstrap, topic, before)

    async with running(runner := bench.runner(Probe(bench.topic), watermarks_topic=topic)):
        await eventually(lambda: is_complete_until(bench, before[0].read_at))
        assert (await fresh(bench)).position == {}
        await bench.publish([stream.deposited(wallet) for _ in range(5)])
        await eventually(lambda: bench.has_reached(dict.fromkeys(range(SHARDS), 0) | {3: 5}))
        after = [Watermark(shard=each.shard, seq=each.seq, read_at=now) for each in before if each.shard != 3]
        await write_watermarks(bench.bootstrap, topic, [*after, Watermark(shard=3, seq=5, read_at=now)])
        await eventually(lambda: is_complete_until(bench, now))
        covered = [Watermark(shard=3, seq=6, read_at=now + SECOND)]
        await write_watermarks(bench.bootstrap, topic, covered)
        await eventually(lambda: is_known(bench, 6))

        told = await fresh(bench)
        assert told.complete_until == now - TRANSACTION_BOUND, "what is known next is not covered"
        assert (await runner.check())["watermarks"].detail.startswith("complete until")
        assert bench.metric("consumer_complete_until_timestamp_seconds") == (now - TRANSACTION_BOUND).timestamp()


@pytest.mark.integration
async def test_a_consumer_goes_on_where_nothing_tells_how_complete_it_is(bench: Bench, make_topic: MakeTopic) -> None:
    stream, wallet = Stream(), wallet_in(3)
    for number, topic in enumerate((f"{bench.topic}-none", await make_topic()), 1):
        runner = bench.runner(Probe(bench.topic), registry=CollectorRegistry(), watermarks_topic=topic)
        async with running(runner):
            await bench.publish([stream.deposited(wallet)])
            await eventually(partial(bench.has_reached, {3: number}))
            assert (await runner.check())["watermarks"].detail == "none covered"

    told = await fresh(bench)
    assert (told.position, told.complete_until) == ({3: 2}, None)


async def fresh(bench: Bench) -> Freshness:
    async with Projected(bench.pool, "probe") as projected:
        return await projected.freshness()


async def is_complete_until(bench: Bench, read_at: datetime) -> bool:
    return (await fresh(bench)).complete_until == read_at - TRANSACTION_BOUND


async def is_known(bench: Bench, seq: int) -> bool:
    async with bench.pool.connection() as connection:
        known = await connection.fetchval("select known_seq from servicekit.watermark where shard = 3")
    return bool(known == seq)
