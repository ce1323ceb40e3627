"""Records that are no events of the platform, or odd ones: counted, parked or applied, and no consumer ends by them."""

from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer

from contracts.envelope import Envelope, to_headers
from servicekit.consumer.records import Headers, receive
from testkit.consumer_bench import PARTITIONS, Bench, Probe
from testkit.events import SCHEMA_BASE, Stream, wallet_in
from testkit.running import running
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


@dataclass
class Record:
    headers: Headers
    value: bytes | None = b"{}"
    partition: int = 0
    offset: int = 0


def headers_of(event: Envelope, **changed: bytes | None) -> list[tuple[str, bytes | None]]:
    return list({**dict(to_headers(event, schema_base=SCHEMA_BASE)), **changed}.items())


@pytest.mark.parametrize(
    "changed",
    [
        {"ce_shard": b"64"},
        {"ce_shard": b"70000"},
        {"ce_shard": b"-1"},
        {"ce_shard": None},
        {"ce_sequence": b"0"},
        {"ce_sequence": b"1" + b"0" * 25},
        {"ce_sequence": b"\xff"},
        {"ce_sequence": b"1_0"},
        {"ce_shard": b" 3"},
        {"ce_id": None},
        {"ce_subject": b"nobody"},
    ],
    ids=str,
)
def test_a_record_without_a_place_is_told_as_such(changed: dict[str, bytes | None]) -> None:
    assert receive(Record(headers_of(Stream().deposited(wallet_in(3)), **changed))) is None


@pytest.mark.parametrize("changed", [{"ce_time": b"zz"}, {"ce_type": None}, {"ce_type": b"\xff"}], ids=str)
def test_a_record_with_a_place_keeps_it_whatever_else_is_wrong(changed: dict[str, bytes | None]) -> None:
    event = Stream().deposited(wallet_in(3))

    received = receive(Record(headers_of(event, **changed)))

    assert received is not None
    assert (received.shard, received.sequence, received.event) == (3, 1, None)


@pytest.mark.parametrize("value", [None, b"\xff\xfe", b""])
def test_headers_that_others_add_change_nothing(value: bytes | None) -> None:
    event = Stream().deposited(wallet_in(3))

    received = receive(Record(headers_of(event, added=value), event.data))

    assert received is not None
    assert received.event == event


FOREIGN: list[tuple[bytes | None, Headers]] = [
    (None, []),
    (b"{}", [("x", None)]),
    (b"{}", headers_of(Stream().deposited(wallet_in(3)), ce_shard=b"99")),
    (b"{}", headers_of(Stream().deposited(wallet_in(3)), ce_sequence=b"9" * 30)),
]


async def test_a_consumer_passes_over_what_has_no_place_and_counts_it(bench: Bench) -> None:
    events = [Stream().deposited(wallet_in(3))]

    async with running(bench.runner(Probe(bench.topic))):
        await add(bench, FOREIGN)
        await bench.publish(events)
        await eventually(lambda: bench.has_reached({3: 1}))

    assert bench.metric("consumer_unreadable_total") == len(FOREIGN) * PARTITIONS
    assert await bench.parked() == []


async def add(bench: Bench, records: list[tuple[bytes | None, Headers]]) -> None:
    """Add *records* to every partition."""
    producer = AIOKafkaProducer(bootstrap_servers=bench.bootstrap)
    await producer.start()
    try:
        for partition in range(PARTITIONS):
            for value, headers in records:
                await producer.send(bench.topic, value, key=b"k", partition=partition, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()


async def test_a_header_whose_name_no_database_takes_parks_its_wallet_like_any_other(bench: Bench) -> None:
    event = Stream().deposited(wallet_in(3))
    odd = headers_of(event, ce_time=b"z", **{"x\0y": b"1"})

    async with running(bench.runner(Probe(bench.topic))):
        await add_one(bench, odd, event.data)
        await eventually(lambda: bench.has_reached({3: 1}))

    assert [parked.subject for parked in await bench.parked()] == [event.subject]


async def add_one(bench: Bench, headers: Headers, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bench.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(bench.topic, value, key=b"k", partition=1, headers=headers)
    finally:
        await producer.stop()
