"""What poisons a projection parks its wallet, and nothing else."""

from dataclasses import replace

import pytest

from contracts.envelope import Envelope
from contracts.event_types import EventType
from contracts.events import FUNDS_DEPOSITED
from servicekit.brokers import Brokers
from servicekit.consumer import operations, parking, unparking
from servicekit.consumer.unparking import unpark
from testkit.consumer_bench import Bench, Probe
from testkit.events import Stream, received, wallet_in
from testkit.running import running
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("poison", ["bad JSON", "unknown type", "violated version", "crashing handler"])
async def test_poison_parks_its_wallet_while_others_flow_and_unparking_replays(bench: Bench, poison: str) -> None:
    stream, probe = Stream(), Probe(bench.topic)
    sick, well = wallet_in(3), wallet_in(3)
    events = [stream.deposited(wallet) for wallet in (sick, well, sick, well, sick, well)]
    third = poisoned(events[2], poison)
    probe.crash_on = {3} if poison == "crashing handler" else set()

    await bench.publish([*events[:2], third, *events[3:]])
    async with running(bench.runner(probe)):
        await eventually(lambda: bench.has_reached({3: 6}))
        await eventually(lambda: shows_parked(bench))
    assert await bench.applied() == {3: [1, 2, 4, 6]}
    (parked,) = await bench.parked()
    assert (parked.subject, parked.seq, parked.events) == (sick, 3, 2)

    still = await unpark(bench.pool, probe, sick, brokers=Brokers(bench.bootstrap))
    assert (still.applied, still.failure is None) == (0, False)
    probe.crash_on, probe.mended = set(), {3: events[2]}
    done = await unpark(bench.pool, probe, sick, brokers=Brokers(bench.bootstrap))

    assert (done.applied, done.failure) == (2, None)
    assert await bench.applied() == {3: [1, 2, 3, 4, 5, 6]}
    assert await bench.parked() == []


def poisoned(event: Envelope, poison: str) -> Envelope:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    match poison:
        case "bad JSON":
            fields["data"] = b"{"
        case "unknown type":
            fields["type"] = EventType(99, "wallet.unheard_of.v1", FUNDS_DEPOSITED.data).name
        case "violated version":
            fields["wallet_version"] = 7
        case _:
            pass  # the handler crashes by itself
    return Envelope(**fields)


async def shows_parked(bench: Bench) -> bool:
    return bench.metric("consumer_parked_subjects") == 1


async def test_a_record_of_which_only_the_place_can_be_read_parks_its_wallet(bench: Bench) -> None:
    event = Stream().deposited(wallet_in(3))
    broken = replace(received(event, event.sequence), event=None, error="a header is malformed")

    await bench.processor(Probe(bench.topic)).process([broken])

    assert (await bench.parked())[0].subject == event.subject
    assert await bench.reached() == {3: 1}


async def test_a_broken_projection_ends_the_consumer_before_everything_is_parked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "SUBJECTS_MAX", 3)
    stream = Stream()
    events = [stream.deposited(wallet_in(3)) for _ in range(10)]
    probe = Probe(bench.topic, crash_on=set(range(1, 11)))

    with pytest.raises(parking.ParkingFull):
        await bench.processor(probe).process([received(event, event.sequence) for event in events])

    assert await bench.parked() == []
    assert await bench.reached() == {}


async def held_back(bench: Bench) -> tuple[int, int]:
    """Return how many wallets are parked, and how many rows their events take."""
    async with bench.pool.connection() as connection:
        rows = await connection.fetch("select events from servicekit.parked_subject")
    return len(rows), sum(row["events"] for row in rows)


async def test_a_hot_parked_wallet_costs_one_row_and_stops_nobody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unparking, "EVENTS_PER_TRANSACTION", 7)
    stream, probe = Stream(), Probe(bench.topic, crash_on={2})
    hot, other = wallet_in(3), wallet_in(3)
    events = [stream.deposited(wallet) for _ in range(50) for wallet in (other, hot)]

    async with running(bench.runner(probe)):
        await bench.publish(events)
        await eventually(lambda: bench.has_reached({3: 100}))
        assert await held_back(bench) == (1, 50)
        probe.crash_on = {60}
        half = await unpark(bench.pool, probe, hot, brokers=Brokers(bench.bootstrap))
        assert (half.applied, half.failure is None) == (29, False)
        assert await held_back(bench) == (1, 21)
        probe.crash_on = set()
        rest = await unpark(bench.pool, probe, hot, brokers=Brokers(bench.bootstrap))
        await bench.publish([stream.deposited(hot)])
        await eventually(lambda: bench.has_reached({3: 101}))

    assert (rest.applied, rest.failure) == (21, None)
    assert await bench.parked() == []
    assert await bench.applied() == {3: list(range(1, 102))}


async def test_unparking_finds_what_was_brought_back_behind_later_records(bench: Bench) -> None:
    stream, probe = Stream(), Probe(bench.topic, crash_on={2})
    wallet = wallet_in(3)
    events = [stream.deposited(wallet) for _ in range(8)]
    lost = events[3:5]

    async with running(bench.runner(probe)):
        await bench.publish([*events[:3], *events[5:], *lost])
        await eventually(lambda: bench.has_reached({3: 5}))
        async with bench.pool.connection() as connection:
            await operations.rewind(connection, "probe", 3)
        await eventually(lambda: bench.has_reached({3: 8}))
    probe.crash_on = set()
    done = await unpark(bench.pool, probe, wallet, brokers=Brokers(bench.bootstrap))

    assert (done.applied, done.failure) == (7, None)
    assert await bench.applied() == {3: list(range(1, 9))}


async def test_what_the_topic_no_longer_has_stays_parked_and_says_so(bench: Bench) -> None:
    events = [Stream().deposited(wallet_in(3))]
    probe = Probe(bench.topic, crash_on={1})
    await bench.processor(probe).process([received(event, event.sequence) for event in events])
    probe.crash_on = set()

    done = await unpark(bench.pool, probe, events[0].subject, brokers=Brokers(bench.bootstrap))

    assert (done.applied, done.failure) == (0, "the topic lacks sequence 1 of shard 3")
    assert len(await bench.parked()) == 1


async def test_a_wallet_that_is_not_parked_has_nothing_to_unpark(bench: Bench) -> None:
    done = await unpark(bench.pool, Probe(bench.topic), wallet_in(3), brokers=Brokers(bench.bootstrap))

    assert (done.applied, done.failure) == (0, None)
