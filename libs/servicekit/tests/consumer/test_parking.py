"""What poisons a projection parks its wallet, and nothing else."""

from dataclasses import replace

import pytest

from contracts.envelope import Envelope, to_headers
from contracts.event_types import EventType
from contracts.events import FUNDS_DEPOSITED
from servicekit.consumer import operations, parking
from testkit.consumer_bench import Bench, Probe
from testkit.events import SCHEMA_BASE, Stream, received, wallet_in
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
    assert (parked.wallet_id, parked.seq, parked.events) == (sick, 3, 2)

    still = await operations.unpark(bench.pool, probe, sick)
    assert (still.applied, still.failure is None) == (0, False)
    await repair(bench, events[2], probe)
    done = await operations.unpark(bench.pool, probe, sick)

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


async def repair(bench: Bench, event: Envelope, probe: Probe) -> None:
    """Let the parked record be what it should have been, as a fixed release would read it."""
    probe.crash_on = set()
    headers = to_headers(event, schema_base=SCHEMA_BASE)
    async with bench.pool.connection() as connection:
        await connection.execute(
            """UPDATE servicekit.parked_event SET header_names = $2, header_values = $3, value = $4
               WHERE wallet_id = $1 AND seq = 3""",
            event.subject,
            [name for name, _ in headers],
            [value for _, value in headers],
            event.data,
        )


async def shows_parked(bench: Bench) -> bool:
    return bench.metric("consumer_parked_wallets") == 1


async def test_a_record_of_which_only_the_place_can_be_read_parks_its_wallet(bench: Bench) -> None:
    event = Stream().deposited(wallet_in(3))
    broken = replace(received(event, event.sequence), event=None, error="a header is malformed")

    await bench.processor(Probe(bench.topic)).process([broken])

    assert (await bench.parked())[0].wallet_id == event.subject
    assert await bench.reached() == {3: 1}


async def test_a_broken_projection_ends_the_consumer_before_everything_is_parked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "WALLETS_MAX", 3)
    stream = Stream()
    events = [stream.deposited(wallet_in(3)) for _ in range(10)]
    probe = Probe(bench.topic, crash_on=set(range(1, 11)))

    with pytest.raises(parking.ParkingFull):
        await bench.processor(probe).process([received(event, event.sequence) for event in events])

    assert await bench.parked() == []
    assert await bench.reached() == {}
