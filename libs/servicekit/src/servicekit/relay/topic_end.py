"""The last record of each partition, to be compared with the journal before anything is published."""

import asyncio
from collections.abc import Collection
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from contracts.envelope import EnvelopeError, from_record
from servicekit.relay.halts import TopicEnd
from servicekit.relay.publisher import PublishError

TIMEOUT_S: Final = 10.0
POLL_MS: Final = 200


async def read_topic_ends(bootstrap_servers: str, topic: str, partitions: Collection[int]) -> list[TopicEnd]:
    """Return the last record of each of *partitions* that has one.

    Raises PublishError when the broker cannot be read in time.
    """
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    try:
        async with asyncio.timeout(TIMEOUT_S):
            consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
            try:
                await consumer.start()
                return await _ends(consumer, wanted)
            finally:
                await consumer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        raise PublishError(type(error).__name__) from error


async def _ends(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> list[TopicEnd]:
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    missing = {partition for partition in partitions if ends[partition] > begins[partition]}
    # By hand: a subscription is forgotten for a moment whenever metadata comes without the topic. Nothing is awaited
    # between assigning and seeking, or the client would begin to look for a position of its own.
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, max(begins[partition], ends[partition] - 1))
    found = []
    while missing:
        for partition, records in (await consumer.getmany(*missing, timeout_ms=POLL_MS)).items():
            missing.discard(partition)
            # Others may publish meanwhile: the record that was the last one is all that counts.
            found.append(_parse(records[0]))
    return found


def _parse(record: "ConsumerRecord[bytes, bytes]") -> TopicEnd:
    try:
        event = from_record(record.headers, record.value)
    except EnvelopeError as error:
        raise PublishError("NoEvent", f"{record.topic}-{record.partition}@{record.offset} is no event") from error
    return TopicEnd(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        shard=event.shard,
        sequence=event.sequence,
        event_id=event.event_id,
    )
