"""A topic from its beginning, or one partition from anywhere, outside of any group."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from servicekit.brokers import Brokers
from servicekit.consumer.records import Received, receive

POLL_MS: Final = 200
RECORDS_PER_POLL_MAX: Final = 5_000
END_WAIT_MS: Final = 50
"""How long the broker may keep a request for what comes behind the end: what is asked next waits for its answer."""


class PartitionReader:
    """Reads one partition from any offset; `open_partition` makes one."""

    def __init__(self, consumer: AIOKafkaConsumer, part: TopicPartition) -> None:
        self._consumer = consumer
        self._part = part
        self._end = 0

    @property
    def partition(self) -> int:
        """Its number."""
        return int(self._part.partition)

    async def seek(self, offset: int) -> int:
        """Go on from *offset*, or the first record where that is gone, to where the end is now; return that place."""
        begin = (await self._consumer.beginning_offsets([self._part]))[self._part]
        self._end = (await self._consumer.end_offsets([self._part]))[self._part]
        place: int = max(begin, offset)
        self._consumer.seek(self._part, place)
        return place

    async def next_poll(self, *, records_max: int = RECORDS_PER_POLL_MAX) -> list[Received]:
        """Return what comes next and has a place, nothing at the end."""
        while await self._consumer.position(self._part) < self._end:
            polled = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=records_max)
            received = [receive(record) for record in polled.get(self._part, [])]
            if found := [record for record in received if record is not None]:
                return found
        return []


class TopicReader:
    """Reads every partition; `open_topic` makes one."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def to_end(self) -> AsyncIterator[list[Received]]:
        """Give what is there now and was not given yet, poll by poll."""
        ends = await self._consumer.end_offsets(self._partitions)
        behind = [part for part in self._partitions if await self._consumer.position(part) < ends[part]]
        while behind:
            polled = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_PER_POLL_MAX)
            received = [receive(record) for records in polled.values() for record in records]
            yield [record for record in received if record is not None]
            behind = [part for part in behind if await self._consumer.position(part) < ends[part]]

    async def left(self) -> int:
        """Return how many records there are now that were not given yet."""
        ends = await self._consumer.end_offsets(self._partitions)
        return sum([ends[part] - await self._consumer.position(part) for part in self._partitions])


@asynccontextmanager
async def open_partition(brokers: Brokers, topic: str, partition: int) -> AsyncIterator[PartitionReader]:
    """Give a reader of one partition, which has no position yet; raises the client's errors."""
    consumer = AIOKafkaConsumer(**brokers.client(), enable_auto_commit=False, fetch_max_wait_ms=END_WAIT_MS)
    await consumer.start()
    try:
        part = TopicPartition(topic, partition)
        consumer.assign([part])
        consumer.seek(part, 0)  # at once, or the client would look for a position of its own
        yield PartitionReader(consumer, part)
    finally:
        await consumer.stop()


@asynccontextmanager
async def open_topic(
    brokers: Brokers, topic: str, partitions: int | range, offsets: Mapping[int, int] | None = None
) -> AsyncIterator[TopicReader]:
    """Give a reader of so many *partitions* of *topic*, or of those in a range, from the beginning on.

    Where a partition has a place in *offsets*, it is read from there.

    Raises the client's errors.
    """
    consumer = AIOKafkaConsumer(**brokers.client(), enable_auto_commit=False, fetch_max_wait_ms=END_WAIT_MS)
    await consumer.start()
    try:
        numbers = range(partitions) if isinstance(partitions, int) else partitions
        parts = [TopicPartition(topic, number) for number in numbers]
        begins = await consumer.beginning_offsets(parts)
        # Nothing is awaited between assigning and seeking, or the client would look for a position of its own.
        consumer.assign(parts)
        for part in parts:
            consumer.seek(part, max(begins[part], (offsets or {}).get(part.partition, 0)))
        yield TopicReader(consumer, parts)
    finally:
        await consumer.stop()
