"""A topic from its beginning, outside of any group."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from servicekit.consumer.records import Received, receive

POLL_MS: Final = 200
RECORDS_PER_POLL_MAX: Final = 5_000


class TopicReader:
    """Reads every partition from its first record; `open_topic` makes one."""

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


@asynccontextmanager
async def open_topic(bootstrap_servers: str, topic: str, partitions: int) -> AsyncIterator[TopicReader]:
    """Give a reader of *topic* from the beginning; raises the client's errors."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, number) for number in range(partitions)]
        begins = await consumer.beginning_offsets(parts)
        # Nothing is awaited between assigning and seeking, or the client would look for a position of its own.
        consumer.assign(parts)
        for part in parts:
            consumer.seek(part, begins[part])
        yield TopicReader(consumer, parts)
    finally:
        await consumer.stop()
