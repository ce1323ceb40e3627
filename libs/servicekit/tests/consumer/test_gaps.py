"""Events that were brought back stand behind later ones: what was passed over meanwhile is read again by itself."""

from collections.abc import Set as AbstractSet

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.envelope import Envelope
from servicekit.consumer import operations
from servicekit.consumer.runner import ConsumerRunner, Poll
from testkit.consumer_bench import Bench, Probe
from testkit.events import Stream, received, wallet_in
from testkit.running import running
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


class HousekeepingAhead(ConsumerRunner):
    """Keeps house only while records wait that were polled before."""

    async def _keep_house(self, consumer: AIOKafkaConsumer, waiting: Poll) -> AbstractSet[int]:
        self._kept_s = float("-inf") if waiting else float("inf")
        return await super()._keep_house(consumer, waiting)


def deposits(count: int, shard: int = 2) -> list[Envelope]:
    wallet, stream = wallet_in(shard), Stream()
    return [stream.deposited(wallet) for _ in range(count)]


async def stops(bench: Bench, wanted: dict[int, str | None]) -> bool:
    return await bench.stopped() == wanted


async def rewind(bench: Bench, shard: int) -> None:
    async with bench.pool.connection() as connection:
        assert await operations.rewind(connection, "probe", shard)


async def restored(bench: Bench, events: list[Envelope], offset: int) -> None:
    """Publish *events* at *offset* of their partition, as what a consumer that is gone applied last."""
    await bench.publish(events)
    await bench.processor(Probe(bench.topic)).process(
        [received(event, offset + place) for place, event in enumerate(events)]
    )
    part = TopicPartition(bench.topic, 0)
    gone = AIOKafkaConsumer(bootstrap_servers=bench.bootstrap, group_id="probe", enable_auto_commit=False)
    await gone.start()
    try:
        gone.assign([part])
        await gone.commit({part: offset + len(events)})
    finally:
        await gone.stop()


async def test_a_stopped_shard_goes_on_by_itself_when_its_events_come_behind_later_ones(bench: Bench) -> None:
    events = deposits(30)
    beside = deposits(30, shard=4)
    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish(events[10:20] + beside[:5] + beside[10:20])
        await eventually(lambda: stops(bench, {2: "gap", 4: "gap"}))
        await bench.publish(events[:10] + events[20:])
        await eventually(lambda: bench.has_reached({2: 30, 4: 5}))
        await bench.publish(beside[5:7])
        await bench.publish(beside[7:13] + beside[20:])
        await eventually(lambda: bench.has_reached({2: 30, 4: 30}))

    assert await bench.stopped() == {2: None, 4: None}


async def test_one_rewind_repairs_what_a_consumer_passed_over_that_was_replaced(bench: Bench) -> None:
    events = deposits(30)
    beside = deposits(30, shard=4)
    await bench.publish(events[10:20] + beside[10:20])
    await restored(bench, events[:10] + beside[:10], offset=20)

    async with running(bench.runner(Probe(bench.topic))):
        await bench.publish(events[20:] + beside[20:])
        await eventually(lambda: stops(bench, {2: "gap", 4: "gap"}))
        await rewind(bench, 2)
        await eventually(lambda: bench.has_reached({2: 30, 4: 30}))

    assert await bench.stopped() == {2: None, 4: None}


async def test_records_that_were_polled_before_a_rewind_do_not_undo_it(bench: Bench) -> None:
    events = deposits(22)
    await bench.publish(events[10:20])
    await restored(bench, events[:10], offset=10)

    async with running(bench.runner(Probe(bench.topic), runner_class=HousekeepingAhead)):
        await bench.publish(events[20:21])
        await eventually(lambda: stops(bench, {2: "gap"}))
        await rewind(bench, 2)
        await bench.publish(events[21:])
        await eventually(lambda: bench.has_reached({2: 22}))


async def test_what_was_passed_over_is_gone_back_to_once_it_is_the_next(bench: Bench) -> None:
    events = deposits(12)
    processor = bench.processor(Probe(bench.topic))
    await processor.process([received(event, place) for place, event in enumerate(events[:2])])
    (gap,) = await processor.process([received(events[4], 7), received(events[5], 8)])
    assert (gap.offset, await processor.process([received(events[4], 7), received(events[5], 8)])) == (2, [])

    assert await processor.process([received(events[2], 20)]) == []
    again = await processor.process([received(events[3], 21), received(events[8], 22)])

    assert [(look.shard, look.partition, look.offset) for look in again] == [(2, 0, 7)]
    assert await processor.process([received(event, 7 + place) for place, event in enumerate(events[4:])]) == []
    assert (await bench.reached(), await bench.stopped()) == ({2: 12}, {2: None})


async def test_what_was_passed_over_and_came_again_is_not_gone_back_to(bench: Bench) -> None:
    events = deposits(6)
    processor = bench.processor(Probe(bench.topic))
    await processor.process([received(events[2], 0), received(events[3], 1)])

    assert await processor.process([received(event, 20 + place) for place, event in enumerate(events)]) == []
    assert await bench.reached() == {2: 6}
