"""What a run asks of the broker as its operator, and what it puts into the topic."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient
from tests.chaos.run import Run

REQUEST_S = 10.0


async def asked(run: Run, ask: "Callable[[AdminClient], dict[Any, Future[Any]]]") -> list[Any]:
    """Return the broker's answers; the client has to live until they are there."""
    admin = AdminClient({"bootstrap.servers": run.platform.kafka.bootstrap_servers, "log_level": 3})
    futures = ask(admin)
    return [await asyncio.to_thread(future.result, 2 * REQUEST_S) for future in futures.values()]


async def group_offsets(run: Run, group: str) -> dict[int, int]:
    """Return where the consumer *group* would begin in each partition that it has told of."""
    wanted = [ConsumerGroupTopicPartitions(group)]
    (found,) = await asked(run, lambda admin: admin.list_consumer_group_offsets(wanted, request_timeout=REQUEST_S))
    return {each.partition: max(0, each.offset) for each in found.topic_partitions or []}


async def produce(run: Run, records: "Iterable[ConsumerRecord[bytes, bytes]]") -> None:
    """Produce copies of *records*, in their order, to their topics and partitions."""
    producer = AIOKafkaProducer(bootstrap_servers=run.platform.kafka.bootstrap_servers, linger_ms=5)
    await producer.start()
    try:
        sent = [
            await producer.send(
                record.topic,
                record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
                timestamp_ms=record.timestamp,
            )
            for record in records
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
