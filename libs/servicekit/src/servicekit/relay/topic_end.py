"""The last record of each shard in its partition, to be compared with the journal before anything is published.

A partition is read back from its end in growing steps until every shard that is asked for was seen. What is no event of
the platform is stepped over. The bound is several times what one round of a relay publishes, so that a restore between
two commits of one round is seen; a shard that was quiet for longer is behind its partition's other shards.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from contracts.envelope import EnvelopeError, from_record
from servicekit.brokers import Brokers
from servicekit.relay.halts import TopicEnd
from servicekit.relay.publisher import PublishError

_log = structlog.get_logger(__name__)

START_TIMEOUT_S: Final = 5.0
OFFSETS_TIMEOUT_S: Final = 3.0
OFFSETS_PATIENCE_S: Final = 0.5
"""How long partitions whose end is known wait for one whose end is not: nothing is published meanwhile."""
READ_TIMEOUT_S: Final = 5.0
POLL_MS: Final = 200
FIRST_STEP: Final = 64
STEP_FACTOR: Final = 8
RECORDS_BACK_MAX: Final = 10_000


class TopicEnds(NamedTuple):
    """The last record of each shard that has one near the end, and the partitions that could not be read in time."""

    ends: list[TopicEnd]
    unread: set[int]


@dataclass(slots=True)
class _Partition:
    """How far a partition is read back: down to *low*. *wanted* are the shards not seen yet."""

    part: TopicPartition
    begin: int
    end: int
    wanted: set[int]
    low: int
    step: int = FIRST_STEP
    found: dict[int, TopicEnd] = field(default_factory=dict)
    no_events: int = 0

    @property
    def is_done(self) -> bool:
        return not self.wanted or self.low <= max(self.begin, self.end - RECORDS_BACK_MAX)

    def next_low(self) -> int:
        """Return where the next step begins."""
        return max(self.begin, self.end - min(self.step, RECORDS_BACK_MAX))

    def take(self, records: "Iterable[ConsumerRecord[bytes, bytes]]") -> None:
        """Remember the last record of each wanted shard among *records*, which ascend."""
        for record in records:
            if record.offset >= self.low:
                continue  # seen in the step before, or published meanwhile by others
            end = _parse(record)
            if end is None:
                self.no_events += 1
            elif end.shard in self.wanted:
                self.found[end.shard] = end

    def has_stepped(self, low: int) -> None:
        """Go on from *low*: all above it is seen."""
        self.low = low
        self.step *= STEP_FACTOR
        self.wanted -= self.found.keys()


async def read_topic_ends(brokers: Brokers, topic: str, shards: Mapping[int, Collection[int]]) -> TopicEnds:
    """Return the last record of each of *shards* (by partition) that has one near its partition's end.

    Raises PublishError when the broker cannot be reached in time; a partition alone that cannot is named as unread.
    """
    consumer = AIOKafkaConsumer(**brokers.client(), enable_auto_commit=False)
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await consumer.start()
        partitions = await _bounds(consumer, topic, shards)
        return await _read(consumer, partitions, set(shards))
    except (KafkaError, OSError, TimeoutError) as error:
        raise PublishError(type(error).__name__) from error
    finally:
        await consumer.stop()


async def _bounds(consumer: AIOKafkaConsumer, topic: str, shards: Mapping[int, Collection[int]]) -> list[_Partition]:
    """Return where each partition begins and ends, without those whose leader does not answer in time."""

    async def bounds(number: int) -> _Partition:
        part = TopicPartition(topic, number)
        begin = (await consumer.beginning_offsets([part]))[part]
        end = (await consumer.end_offsets([part]))[part]
        return _Partition(part, begin, end, set(shards[number]), end)

    asking = [asyncio.ensure_future(bounds(number)) for number in shards]
    await asyncio.wait(asking, timeout=OFFSETS_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
    _, late = await asyncio.wait(asking, timeout=OFFSETS_PATIENCE_S)
    for task in late:
        task.cancel()
    answered = await asyncio.gather(*asking, return_exceptions=True)
    for each in answered:
        if isinstance(each, BaseException) and not isinstance(each, KafkaError | OSError | asyncio.CancelledError):
            raise each
    return [each for each in answered if isinstance(each, _Partition)]


async def _read(consumer: AIOKafkaConsumer, partitions: list[_Partition], asked: set[int]) -> TopicEnds:
    # By hand: a subscription is forgotten for a moment whenever metadata comes without the topic.
    left = [partition for partition in partitions if not partition.is_done]
    unread = asked - {partition.part.partition for partition in partitions}
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            while left:
                await _step(consumer, left)
                left = [partition for partition in left if not partition.is_done]
    except TimeoutError:
        # What was seen until then is compared; a partition of which nothing was seen is not.
        unread |= {partition.part.partition for partition in left if not partition.found}
    for partition in partitions:
        if partition.no_events:
            _log.error("relay.no_events_stepped_over", partition=partition.part.partition, records=partition.no_events)
    ends = [end for partition in partitions for end in partition.found.values()]
    return TopicEnds(ends, unread)


async def _step(consumer: AIOKafkaConsumer, partitions: list[_Partition]) -> None:
    """Read each of *partitions* from one step further back up to what was read before."""
    lows = {partition.part: partition.next_low() for partition in partitions}
    # Nothing is awaited between assigning and seeking, or the client would begin to look for a position of its own.
    consumer.assign(list(lows))
    for part, low in lows.items():
        consumer.seek(part, low)
    missing = {partition.part: partition for partition in partitions}
    while missing:
        for part, records in (await consumer.getmany(*missing, timeout_ms=POLL_MS)).items():
            missing[part].take(records)
        for part in [part for part in missing if await consumer.position(part) >= missing[part].low]:
            missing.pop(part).has_stepped(lows[part])


def _parse(record: "ConsumerRecord[bytes, bytes]") -> TopicEnd | None:
    try:
        event = from_record(record.headers, record.value)
    except EnvelopeError:
        return None
    return TopicEnd(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        shard=event.shard,
        sequence=event.sequence,
        event_id=event.event_id,
    )
