"""A poll that is too much for one transaction is taken in portions, down to one record."""

import pytest

from servicekit.consumer.portions import GOOD_BEFORE_GROWTH, Portions
from servicekit.consumer.records import Received
from testkit.consumer_bench import Bench, Probe
from testkit.events import Stream, received, wallet_in
from testkit.running import running
from testkit.waiting import eventually


def records(count: int, *, size_bytes: int = 10) -> list[Received]:
    stream, wallet = Stream(), wallet_in(3)
    found = [received(stream.deposited(wallet), offset) for offset in range(count)]
    for record in found:
        record.size_bytes = size_bytes
    return found


def sizes(portions: Portions, count: int, *, size_bytes: int = 10) -> list[int]:
    return [len(portion) for portion in portions.cut(records(count, size_bytes=size_bytes))]


def test_a_poll_is_one_portion_until_it_is_halved_and_grows_back() -> None:
    portions = Portions(records_max=8, size_max_bytes=1 << 20)
    assert sizes(portions, 8) == [8]

    portions.halve()
    assert sizes(portions, 7) == [4, 3]
    for _ in range(20):
        portions.halve()
    assert sizes(portions, 3) == [1, 1, 1]
    for _ in range(20 * GOOD_BEFORE_GROWTH):
        portions.count_good()
    assert sizes(portions, 9) == [8, 1]


def test_portions_are_bounded_in_bytes_but_for_a_single_record() -> None:
    portions = Portions(records_max=100, size_max_bytes=100_000)

    assert sizes(portions, 5, size_bytes=40_000) == [2, 2, 1]
    assert sizes(portions, 2, size_bytes=200_000) == [1, 1]
    assert sizes(portions, 0) == []


@pytest.mark.integration
@pytest.mark.parametrize("events_max", [1, 6])
async def test_what_cannot_be_committed_at_once_is_committed_in_portions(bench: Bench, events_max: int) -> None:
    stream, wallet = Stream(), wallet_in(3)
    await bench.publish([stream.deposited(wallet) for _ in range(60)])

    async with running(bench.runner(Probe(bench.topic, events_max=events_max))):
        await eventually(lambda: bench.has_reached({3: 60}))

    assert await bench.applied() == {3: list(range(1, 61))}
    assert bench.metric("consumer_poll_failures_total", error="Unavailable") <= 60


@pytest.mark.integration
async def test_a_gap_within_portions_is_looked_at_again_and_the_others_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = bench.runner(Probe(bench.topic))
    monkeypatch.setattr(runner, "_portions", Portions(records_max=4, size_max_bytes=1 << 20))
    stream = Stream()
    gappy = [stream.deposited(wallet_in(1)) for _ in range(10)]
    sound = [stream.deposited(wallet_in(3)) for _ in range(30)]
    await bench.publish([*gappy[:3], *gappy[4:], *sound])

    async with running(runner):
        await eventually(lambda: bench.has_reached({1: 3, 3: 30}))
        await eventually(lambda: stops(bench))

    assert bench.metric("consumer_gaps_total") >= 1


async def stops(bench: Bench) -> bool:
    return await bench.stopped() == {1: "gap", 3: None}
