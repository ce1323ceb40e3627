"""What is read from the topic: each partition from its first record to what was its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts.topics import WALLET_EVENTS
from demo.findings import Findings
from demo.reconcile.rows import Event
from demo.reconcile.topic import NoEventError, parse_event
from demo.stack import DemoError

RECORDS_PER_POLL: Final = 2_000
POLL_MS: Final = 1_000
SILENT_POLLS_MAX: Final = 30
_LOG_APPEND_TIME: Final = 1
_FETCH_BYTES: Final = 4 * 1024 * 1024


class TopicUnreadableError(DemoError):
    """The broker does not give what it must have."""


@asynccontextmanager
async def reader(bootstrap_servers: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer that belongs to no group and commits nothing."""
    consumer = AIOKafkaConsumer(
        WALLET_EVENTS.name,  # so that the broker is asked which partitions it has
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def partitions(consumer: AIOKafkaConsumer) -> list[TopicPartition]:
    """Return the topic's partitions; from now on the consumer reads those it is assigned."""
    numbers = consumer.partitions_for_topic(WALLET_EVENTS.name)
    if not numbers:
        raise TopicUnreadableError(f"the broker has no topic {WALLET_EVENTS.name}")
    consumer.unsubscribe()
    return [TopicPartition(WALLET_EVENTS.name, number) for number in sorted(numbers)]


async def events(consumer: AIOKafkaConsumer, partition: TopicPartition, findings: Findings) -> AsyncIterator[Event]:
    """Give the events of *partition* in the order of their offsets."""
    consumer.assign([partition])
    end = (await consumer.end_offsets([partition]))[partition]
    await consumer.seek_to_beginning(partition)
    silent = 0
    while await consumer.position(partition) < end:
        records: list[Any] = (await consumer.getmany(partition, timeout_ms=POLL_MS, max_records=RECORDS_PER_POLL)).get(
            partition, []
        )
        silent = 0 if records else silent + 1
        if silent > SILENT_POLLS_MAX:
            raise TopicUnreadableError(f"partition {partition.partition} ends at {end} and gives nothing")
        for record in records:
            try:
                yield parse_event(record.key, record.headers, record.value, _broker_time_ms(record))
            except NoEventError as error:
                place = (partition.partition, record.offset, error)
                findings.judge("I6", "partition {} offset {} is not an event: {}", *place, is_right=False)


def _broker_time_ms(record: Any) -> int | None:
    return record.timestamp if record.timestamp_type == _LOG_APPEND_TIME else None


async def keep_broker_time(bootstrap_servers: str) -> None:
    """Have the broker write down when each record came; the relay's own timestamps are the events'."""
    settings = {"retention.ms": str(WALLET_EVENTS.retention_ms), "message.timestamp.type": "LogAppendTime"}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, WALLET_EVENTS.name, configs=settings)])
    finally:
        await admin.close()
