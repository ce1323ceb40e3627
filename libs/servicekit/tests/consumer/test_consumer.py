"""The consumer on a real broker and a real database, under the faults that it must not notice."""

import asyncio

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from servicekit.consumer import checkpoints, operations
from servicekit.consumer.runner import ConsumerRunner
from servicekit.lifecycle import Shutdown
from servicekit.telemetry import SpanKind, Tracing
from testkit.consumer_bench import Bench, Probe
from testkit.events import Stream, received, wallet_in
from testkit.running import running
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


def deposits(stream: Stream, shard: int, count: int) -> list[Envelope]:
    wallet = wallet_in(shard)
    return [stream.deposited(wallet) for _ in range(count)]


def upto(last: int) -> list[int]:
    return list(range(1, last + 1))


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
        await eventually(lambda: bench.has_reached({3: 1}))
        runner.clients[0]._client._sync_task.cancel()
        await eventually(lambda: has_made(runner, 2))
        await bench.publish([stream.deposited(wallet)])
        await eventually(lambda: bench.has_reached({3: 2}))

    assert bench.metric("consumer_poll_failures_total", error="ClientEnded") == 1


async def has_made(runner: Watched, clients: int) -> bool:
    return len(runner.clients) == clients


async def test_events_are_applied_once_in_order_and_the_end_has_no_lag(bench: Bench) -> None:
    stream = Stream()
    events = deposits(stream, 3, 30) + deposits(stream, 4, 20) + deposits(stream, 3, 5)

    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish(events)
        await eventually(lambda: bench.has_reached({3: 35, 4: 20}))
        await eventually(lambda: has_no_lag(bench))

    assert await bench.applied() == {3: upto(35), 4: upto(20)}
    assert bench.metric("consumer_applied_total") == 55
    assert bench.metric("consumer_visible_seconds_count") == 55
    assert bench.metric("consumer_last_applied_timestamp_seconds") > max(event.time for event in events).timestamp()
    assert bench.metric("consumer_lag_seconds") == 0
    assert bench.metric("consumer_checkpoint", shard="3") == 35


async def has_no_lag(bench: Bench) -> bool:
    async with bench.pool.connection() as connection:
        progress = await checkpoints.progress(connection, "probe")
    return all(shard.lag_ms == 0 for shard in progress.values()) and bench.metric("consumer_lag_records") == 0


async def test_what_a_silent_broker_told_last_grows_old(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = bench.runner(Probe(bench.topic), runner_class=Watched)
    assert isinstance(runner, Watched)

    async with running(runner):
        await bench.publish(deposits(Stream(), 3, 1))
        await eventually(lambda: bench.has_reached({3: 1}))
        last = runner.clients[0].last_poll_timestamp
        monkeypatch.setattr(runner.clients[0], "last_poll_timestamp", lambda part: (last(part) or 0) - 3_600_000)
        await eventually(lambda: is_an_hour_behind(bench))


async def is_an_hour_behind(bench: Bench) -> bool:
    async with bench.pool.connection() as connection:
        progress = await checkpoints.progress(connection, "probe")
    return progress[3].lag_ms > 3_500_000


async def test_events_delivered_three_times_and_replayed_from_the_start_are_applied_once(bench: Bench) -> None:
    events = deposits(Stream(), 3, 25)
    probe = Probe(bench.topic)

    await bench.publish([event for event in events for _ in range(3)])
    async with running(bench.runner(probe)):
        await eventually(lambda: bench.has_reached({3: 25}))
    await bench.publish(events)
    async with running(bench.runner(probe, registry=CollectorRegistry())):
        async with bench.pool.connection() as connection:
            assert await operations.rewind(connection, "probe", 3)
        await bench.publish(deposits_after(events, 1))
        await eventually(lambda: bench.has_reached({3: 26}))

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
    await eventually(lambda: bench.has_reached({3: 10}))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    registry = CollectorRegistry()
    async with running(bench.runner(Probe(bench.topic), registry=registry)):
        await bench.publish(deposits_after(events, 5))
        await eventually(lambda: bench.has_reached({3: 15}))

    assert await bench.applied() == {3: upto(15)}
    assert registry.get_sample_value("consumer_skipped_total", {"projection": "probe"}) == 10


async def test_a_consumer_stopped_inside_its_transaction_writes_nothing_stale(bench: Bench) -> None:
    events = deposits(Stream(), 3, 10)
    records = [received(event, event.sequence) for event in events]
    zombie = Probe(bench.topic, pass_on=asyncio.Event())
    asleep = asyncio.create_task(bench.processor(zombie).process(records))
    await zombie.entered.wait()

    # The successor waits for the rows until the database ends the idle transaction, then applies everything.
    await bench.processor(Probe(bench.topic)).process(records)
    assert zombie.pass_on is not None
    zombie.pass_on.set()
    (outcome,) = await asyncio.gather(asleep, return_exceptions=True)

    assert isinstance(outcome, Exception)
    assert await bench.applied() == {3: upto(10)}


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
        await eventually(lambda: bench.has_reached({2: 10, 3: 4}))

    assert await bench.applied() == {2: upto(10), 3: upto(4)}
    assert await bench.stopped() == {2: None, 3: None}


async def test_what_is_read_again_from_before_a_checkpoint_does_not_skip_to_it(bench: Bench) -> None:
    """Other shards of the partition may miss what stands between."""
    events = deposits(Stream(), 2, 12)
    processor = bench.runner(Probe(bench.topic))._processor
    await processor.process([received(event, 30 + place) for place, event in enumerate(events[:5])])

    again = await processor.process([received(events[10], 22)])

    assert again == []
    assert await bench.stopped() == {2: "gap"}
    await processor.process([received(event, 40 + place) for place, event in enumerate(events[5:])])
    assert (await bench.reached(), await bench.stopped()) == ({2: 12}, {2: None})


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
        await eventually(lambda: bench.has_reached({3: 10}))

    assert await bench.applied() == {3: upto(10)}
    assert bench.metric("consumer_gaps_total") == 1


async def test_a_journal_restored_behind_the_projection_stops_the_shard(bench: Bench) -> None:
    events = deposits(Stream(), 3, 10)
    other = [*deposits(Stream(), 3, 10)][-1]

    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish([*events, other, *deposits_after(events, 1)])
        await eventually(lambda: stops(bench, {3: "diverged"}))

    assert await bench.applied() == {3: upto(10)}


async def test_the_trace_of_a_sampled_event_goes_on_in_its_projection(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    stream = Stream()
    traced, plain = deposits(stream, 3, 2)
    traced = msgspec.structs.replace(traced, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")

    async with running(bench.runner(Probe(bench.topic), tracing=Tracing("t", 0.0, SimpleSpanProcessor(exporter)))):
        await bench.publish([traced, plain])
        await eventually(lambda: bench.has_reached({3: 2}))

    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("project wallet.funds_deposited.v1", SpanKind.CONSUMER)
    assert span.parent is not None
    assert (f"{span.context.trace_id:x}", f"{span.parent.span_id:x}") == ("a" * 32, "b" * 16)
    assert span.attributes is not None
    assert {name: value for name, value in span.attributes.items() if name.startswith("messaging.")} == {
        "messaging.consumer.group.name": "probe",
        "messaging.destination.name": bench.topic,
        "messaging.destination.partition.id": "1",
        "messaging.kafka.offset": 0,
        "messaging.operation.name": "project",
        "messaging.operation.type": "process",
        "messaging.system": "kafka",
    }


async def test_a_slow_projection_holds_up_no_other(bench: Bench) -> None:
    slow, quick = Probe(bench.topic, name="slow", pass_on=asyncio.Event()), Probe(bench.topic)

    async with running(bench.runner(slow, registry=CollectorRegistry())), running(bench.runner(quick)):
        await bench.publish(deposits(Stream(), 3, 50))
        await slow.entered.wait()
        await eventually(lambda: bench.has_reached({3: 50}))
        assert await bench.reached("slow") == {}
        assert slow.pass_on is not None
        slow.pass_on.set()


async def test_a_database_that_was_away_is_caught_up_with(bench: Bench) -> None:
    events = deposits(Stream(), 3, 40)
    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish(events[:20])
        await eventually(lambda: bench.has_reached({3: 20}))
        async with bench.pool.transaction() as tx:
            await tx.connection.execute("lock table servicekit.checkpoint in access exclusive mode")
            await bench.publish(events[20:])
            await tx.connection.execute("select pg_sleep(3)")
        await eventually(lambda: bench.has_reached({3: 40}))

    assert await bench.applied() == {3: upto(40)}
    assert bench.metric("consumer_poll_failures_total", error="Unavailable") >= 1
