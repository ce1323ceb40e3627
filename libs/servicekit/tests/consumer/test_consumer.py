"""The consumer on a real broker and a real database, under the faults that it must not notice."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope, to_headers
from contracts.event_types import EventType
from contracts.events import FUNDS_DEPOSITED, parse_data
from servicekit.consumer import checkpoints, operations, parking
from servicekit.consumer.metrics import ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.projection import ProjectionError
from servicekit.consumer.records import Headers, Received, receive
from servicekit.consumer.runner import ConsumerRunner, ConsumerSettings
from servicekit.postgres import Pool, Transaction
from servicekit.process import Shutdown
from servicekit.telemetry import SpanKind, Tracing
from testkit.events import SCHEMA_BASE, Stream, publish, wallet_in
from testkit.pytest_plugin import MakeTopic
from testkit.running import running
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

PARTITIONS = 2


@dataclass
class Probe:
    """A projection of which every row tells what was applied; it fails or waits where a test wants it to."""

    topic: str
    name: str = "probe"
    crash_on: set[int] = field(default_factory=set)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    pass_on: asyncio.Event | None = None

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        self.entered.set()
        if self.pass_on is not None:
            await self.pass_on.wait()
        for event in events:
            parse_data(event.type, event.data)
            if event.sequence in self.crash_on:
                raise ZeroDivisionError(event.sequence)
            newest = await tx.connection.fetchval(
                "SELECT coalesce(max(version), 0) FROM probe.applied WHERE wallet_id = $1", event.subject
            )
            if event.wallet_version != newest + 1:
                raise ProjectionError(f"version {event.wallet_version} does not follow {newest}")
            await tx.connection.execute(
                "INSERT INTO probe.applied VALUES ($1, $2, $3, $4)",
                event.subject,
                event.wallet_version,
                event.shard,
                event.sequence,
            )


@dataclass
class Bench:
    pool: Pool
    bootstrap: str
    topic: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def runner(
        self,
        probe: Probe,
        *,
        registry: CollectorRegistry | None = None,
        tracing: Tracing | None = None,
        runner_class: type[ConsumerRunner] = ConsumerRunner,
    ) -> ConsumerRunner:
        return runner_class(
            ConsumerSettings(
                bootstrap_servers=self.bootstrap,
                client_id=probe.name,
                session_timeout_ms=6_000,
                housekeeping_every_s=0.05,
                backoff_s_max=0.5,
            ),
            projection=probe,
            pool=self.pool,
            metrics=ConsumerMetrics(registry or self.registry, probe.name),
            tracing=tracing or Tracing("test", 0.0),
            jitter=random.Random(1),
        )

    async def publish(self, events: Sequence[Envelope]) -> None:
        await publish(self.bootstrap, self.topic, PARTITIONS, events)

    async def applied(self) -> dict[int, list[int]]:
        """Return the applied sequences per shard."""
        async with self.pool.connection() as connection:
            rows = await connection.fetch(
                "SELECT shard, array_agg(seq ORDER BY seq) AS s FROM probe.applied GROUP BY 1"
            )
        return {row["shard"]: row["s"] for row in rows}

    async def reached(self, projection: str = "probe") -> dict[int, int]:
        async with self.pool.connection() as connection:
            return {s: p.last_seq for s, p in (await checkpoints.progress(connection, projection)).items()}

    async def stopped(self) -> dict[int, str | None]:
        async with self.pool.connection() as connection:
            return {row.shard: row.stopped for row in await operations.status(connection, "probe")}

    async def parked(self) -> list[operations.ParkedWallet]:
        async with self.pool.connection() as connection:
            return await operations.parked_wallets(connection, "probe")

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"projection": "probe", **labels}) or 0.0


@pytest.fixture
async def bench(pool: Pool, kafka_bootstrap: str, make_topic: MakeTopic) -> Bench:
    return Bench(pool, kafka_bootstrap, await make_topic(PARTITIONS))


async def reached(bench: Bench, wanted: dict[int, int], projection: str = "probe") -> bool:
    return await bench.reached(projection) == wanted


def deposits(stream: Stream, shard: int, count: int) -> list[Envelope]:
    wallet = wallet_in(shard)
    return [stream.deposited(wallet) for _ in range(count)]


def upto(last: int) -> list[int]:
    return list(range(1, last + 1))


def record_of(event: Envelope, *, offset: int | None = None, value: bytes | None = None) -> Received:
    """Return *event* as it comes from the broker."""

    @dataclass
    class Record:
        partition: int
        offset: int
        headers: Headers
        value: bytes | None

    headers = to_headers(event, schema_base=SCHEMA_BASE)
    received = receive(Record(0, event.sequence if offset is None else offset, headers, value or event.data))
    assert received is not None
    return received


class Watched(ConsumerRunner):
    """Keeps the clients it makes."""

    def _new_consumer(self) -> AIOKafkaConsumer:
        self.clients = [*getattr(self, "clients", []), super()._new_consumer()]
        return self.clients[-1]


async def test_a_client_whose_own_task_ended_is_replaced(bench: Bench) -> None:
    wallet, stream = wallet_in(3), Stream()
    runner = bench.runner(Probe(bench.topic), runner_class=Watched)
    assert isinstance(runner, Watched)

    async with running(runner):
        await bench.publish([stream.deposited(wallet)])
        await eventually(lambda: reached(bench, {3: 1}))
        runner.clients[0]._client._sync_task.cancel()
        await bench.publish([stream.deposited(wallet)])
        await eventually(lambda: failed(bench, "ClientEnded"))
        await eventually(lambda: reached(bench, {3: 2}))

    assert len(runner.clients) == 2


async def failed(bench: Bench, error: str) -> bool:
    return bench.metric("consumer_poll_failures_total", error=error) > 0


async def test_events_are_applied_once_in_order_and_the_end_has_no_lag(bench: Bench) -> None:
    stream = Stream()
    events = deposits(stream, 3, 30) + deposits(stream, 4, 20) + deposits(stream, 3, 5)

    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish(events)
        await eventually(lambda: reached(bench, {3: 35, 4: 20}))
        await eventually(lambda: has_no_lag(bench))

    assert await bench.applied() == {3: upto(35), 4: upto(20)}
    assert bench.metric("consumer_applied_total") == 55
    assert bench.metric("consumer_checkpoint", shard="3") == 35


async def has_no_lag(bench: Bench) -> bool:
    async with bench.pool.connection() as connection:
        progress = await checkpoints.progress(connection, "probe")
    return all(shard.lag_ms == 0 for shard in progress.values()) and bench.metric("consumer_lag_records") == 0


async def test_events_delivered_three_times_and_replayed_from_the_start_are_applied_once(bench: Bench) -> None:
    events = deposits(Stream(), 3, 25)
    probe = Probe(bench.topic)

    await bench.publish([event for event in events for _ in range(3)])
    async with running(bench.runner(probe)):
        await eventually(lambda: reached(bench, {3: 25}))
    await bench.publish(events)
    async with running(bench.runner(probe, registry=CollectorRegistry())):
        async with bench.pool.connection() as connection:
            assert await operations.rewind(connection, "probe", 3)
        await bench.publish(deposits_after(events, 1))
        await eventually(lambda: reached(bench, {3: 26}))

    assert await bench.applied() == {3: upto(26)}


def deposits_after(events: list[Envelope], count: int) -> list[Envelope]:
    """Return *count* more events of the last one's wallet and shard."""
    stream, last = Stream(), events[-1]
    stream._sequences[last.shard] = last.sequence
    stream._versions[last.subject] = last.wallet_version or 0
    return [stream.deposited(last.subject) for _ in range(count)]


async def test_a_consumer_killed_between_its_commit_and_the_offsets_is_followed_by_one_that_skips(bench: Bench) -> None:
    events = deposits(Stream(), 3, 10)
    doomed = bench.runner(Probe(bench.topic))
    doomed._kept_s = float("inf")  # never tells the broker
    task = asyncio.create_task(doomed.run(Shutdown()))
    await bench.publish(events)
    await eventually(lambda: reached(bench, {3: 10}))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    registry = CollectorRegistry()
    async with running(bench.runner(Probe(bench.topic), registry=registry)):
        await bench.publish(deposits_after(events, 5))
        await eventually(lambda: reached(bench, {3: 15}))

    assert await bench.applied() == {3: upto(15)}
    assert registry.get_sample_value("consumer_skipped_total", {"projection": "probe"}) == 10


async def test_a_consumer_stopped_inside_its_transaction_writes_nothing_stale(bench: Bench) -> None:
    events = deposits(Stream(), 3, 10)
    received = [record_of(event) for event in events]
    zombie = Probe(bench.topic, pass_on=asyncio.Event())
    asleep = asyncio.create_task(processor(bench, zombie).process(received))
    await zombie.entered.wait()

    # The successor waits for the rows until the database ends the idle transaction, then applies everything.
    await processor(bench, Probe(bench.topic)).process(received)
    assert zombie.pass_on is not None
    zombie.pass_on.set()
    (outcome,) = await asyncio.gather(asleep, return_exceptions=True)

    assert isinstance(outcome, Exception)
    assert await bench.applied() == {3: upto(10)}


def processor(bench: Bench, probe: Probe) -> Processor:
    return Processor(probe, bench.pool, ConsumerMetrics(CollectorRegistry(), probe.name))


async def test_a_truncated_topic_is_a_gap_that_stops_its_shard_until_the_events_are_there_again(bench: Bench) -> None:
    stream = Stream()
    lost, kept = deposits(stream, 2, 10), deposits(stream, 3, 4)
    await bench.publish(lost + kept)
    await truncate(bench, partition=0, before=6)

    async with running(bench.runner(Probe(bench.topic))):
        await eventually(lambda: stops(bench, {2: "gap", 3: None}))
        assert await bench.reached() == {2: 0, 3: 4}
        assert bench.metric("consumer_shards_stopped", reason="gap") == 1

        await bench.publish(lost)  # as the relay does when it is set back
        async with bench.pool.connection() as connection:
            assert await operations.rewind(connection, "probe", 2)
        await eventually(lambda: reached(bench, {2: 10, 3: 4}))

    assert await bench.applied() == {2: upto(10), 3: upto(4)}
    assert await bench.stopped() == {2: None, 3: None}


async def stops(bench: Bench, wanted: dict[int, str | None]) -> bool:
    return await bench.stopped() == wanted


async def truncate(bench: Bench, partition: int, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(bench.topic, partition): RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


async def test_offsets_ahead_of_the_checkpoints_are_a_gap_that_a_second_look_closes(bench: Bench) -> None:
    events = deposits(Stream(), 3, 10)
    await bench.publish(events)
    meddler = AIOKafkaConsumer(bootstrap_servers=bench.bootstrap, group_id="probe", enable_auto_commit=False)
    await meddler.start()
    meddler.assign([TopicPartition(bench.topic, 1)])
    await meddler.commit({TopicPartition(bench.topic, 1): 7})
    await meddler.stop()

    async with running(bench.runner(Probe(bench.topic))):
        await eventually(lambda: reached(bench, {3: 10}))

    assert await bench.applied() == {3: upto(10)}
    assert bench.metric("consumer_gaps_total") == 1


async def test_a_journal_restored_behind_the_projection_stops_the_shard(bench: Bench) -> None:
    events = deposits(Stream(), 3, 10)
    other = [*deposits(Stream(), 3, 10)][-1]

    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish([*events, other, *deposits_after(events, 1)])
        await eventually(lambda: stops(bench, {3: "diverged"}))

    assert await bench.applied() == {3: upto(10)}


@pytest.mark.parametrize("poison", ["bad JSON", "unknown type", "violated version", "crashing handler"])
async def test_poison_parks_its_wallet_while_others_flow_and_unparking_replays(bench: Bench, poison: str) -> None:
    stream, probe = Stream(), Probe(bench.topic)
    sick, well = wallet_in(3), wallet_in(3)
    events = [stream.deposited(wallet) for wallet in (sick, well, sick, well, sick, well)]
    third = poisoned(events[2], poison)
    probe.crash_on = {3} if poison == "crashing handler" else set()

    await bench.publish([*events[:2], third, *events[3:]])
    async with running(bench.runner(probe)):
        await eventually(lambda: reached(bench, {3: 6}))
        await eventually(lambda: shows_parked(bench))
    assert await bench.applied() == {3: [1, 2, 4, 6]}
    (parked,) = await bench.parked()
    assert (parked.wallet_id, parked.seq, parked.events) == (sick, 3, 2)

    still = await operations.unpark(bench.pool, probe, sick)
    assert (still.applied, still.failure is None) == (0, False)
    await repair(bench, events[2], probe)
    done = await operations.unpark(bench.pool, probe, sick)

    assert (done.applied, done.failure) == (2, None)
    assert await bench.applied() == {3: upto(6)}
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
    event = deposits(Stream(), 3, 1)[0]
    received = record_of(event)
    broken = receive_broken(received)

    await processor(bench, Probe(bench.topic)).process([broken])

    assert (await bench.parked())[0].wallet_id == event.subject
    assert await bench.reached() == {3: 1}


def receive_broken(received: Received) -> Received:
    received.event, received.error = None, "a header is malformed"
    return received


async def test_a_broken_projection_ends_the_consumer_before_everything_is_parked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "WALLETS_MAX", 3)
    stream = Stream()
    events = [record_of(stream.deposited(wallet_in(3))) for _ in range(10)]
    probe = Probe(bench.topic, crash_on=set(range(1, 11)))

    with pytest.raises(parking.ParkingFull):
        await processor(bench, probe).process(events)

    assert await bench.parked() == []
    assert await bench.reached() == {}


async def test_the_trace_of_a_sampled_event_goes_on_in_its_projection(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    stream = Stream()
    traced, plain = deposits(stream, 3, 2)
    traced = msgspec.structs.replace(traced, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")

    async with running(bench.runner(Probe(bench.topic), tracing=Tracing("t", 0.0, SimpleSpanProcessor(exporter)))):
        await bench.publish([traced, plain])
        await eventually(lambda: reached(bench, {3: 2}))

    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("project wallet.funds_deposited.v1", SpanKind.CONSUMER)
    assert span.parent is not None
    assert (f"{span.context.trace_id:x}", f"{span.parent.span_id:x}") == ("a" * 32, "b" * 16)


async def test_a_slow_projection_holds_up_no_other(bench: Bench) -> None:
    slow, quick = Probe(bench.topic, name="slow", pass_on=asyncio.Event()), Probe(bench.topic)

    async with running(bench.runner(slow, registry=CollectorRegistry())), running(bench.runner(quick)):
        await bench.publish(deposits(Stream(), 3, 50))
        await slow.entered.wait()
        await eventually(lambda: reached(bench, {3: 50}))
        assert await bench.reached("slow") == {}
        assert slow.pass_on is not None
        slow.pass_on.set()


async def test_a_database_that_was_away_is_caught_up_with(bench: Bench) -> None:
    events = deposits(Stream(), 3, 40)
    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish(events[:20])
        await eventually(lambda: reached(bench, {3: 20}))
        async with bench.pool.transaction() as tx:
            await tx.connection.execute("LOCK TABLE servicekit.checkpoint IN ACCESS EXCLUSIVE MODE")
            await bench.publish(events[20:])
            await tx.connection.execute("SELECT pg_sleep(3)")
        await eventually(lambda: reached(bench, {3: 40}))

    assert await bench.applied() == {3: upto(40)}
    assert bench.metric("consumer_poll_failures_total", error="Unavailable") >= 1
