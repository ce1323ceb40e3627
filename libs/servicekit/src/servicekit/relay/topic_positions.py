"""How far a topic goes: the last sequence of each shard, found by reading all of it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts.envelope import Envelope
from servicekit.brokers import Brokers
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import open_topic
from servicekit.relay.publisher import PublishError

ADMIN_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 3_600.0


class UnknownTopic(Exception):
    """The broker has no such topic."""


class BrokenTopic(Exception):
    """The topic does not have one dense run of sequences per shard."""


@dataclass(frozen=True, slots=True)
class ShardRun:
    """A shard's events in a topic: from *first* to *last*, which has *event_id*."""

    first: int
    last: int
    event_id: UUID


async def count_partitions(brokers: Brokers, topic: str) -> int:
    """Return how many partitions *topic* has; raises UnknownTopic, and PublishError where the broker is away."""
    try:
        async with asyncio.timeout(ADMIN_TIMEOUT_S):
            admin = AIOKafkaAdminClient(**brokers.client())
            try:
                await admin.start()
                # Asked for by name, a broker that makes topics by itself would make it.
                if topic not in await admin.list_topics():
                    raise UnknownTopic(f"the broker has no topic {topic}")
                (described,) = await admin.describe_topics([topic])
                return len(described["partitions"])
            finally:
                await admin.close()
    except (KafkaError, OSError, TimeoutError) as error:
        raise PublishError(type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event of a topic in its place; *event* is None where the rest of its envelope cannot be read."""

    shard: int
    sequence: int
    event_id: UUID
    event: Envelope | None


async def read_events(brokers: Brokers, topic: str, partitions: int) -> AsyncGenerator[list[PlacedEvent]]:
    """Give all that *topic* has now, poll by poll; raises PublishError where the broker cannot be read."""
    try:
        async with open_topic(brokers, topic, partitions) as reader:
            async for received in reader.to_end():
                yield [PlacedEvent(each.shard, each.sequence, each.event_id, each.event) for each in received]
    except (KafkaError, OSError) as error:
        raise PublishError(type(error).__name__) from error


async def read_positions(brokers: Brokers, topic: str, partitions: int) -> Mapping[int, ShardRun]:
    """Read all of *topic*; return the run of each shard that it has. Repeats are passed over.

    Raises BrokenTopic at a gap, and PublishError where the broker cannot be read.
    """
    runs: dict[int, ShardRun] = {}
    try:
        async with asyncio.timeout(READ_TIMEOUT_S), open_topic(brokers, topic, partitions) as reader:
            async for received in reader.to_end():
                for record in received:
                    _pass(record, runs)
    except (KafkaError, OSError, TimeoutError) as error:
        raise PublishError(type(error).__name__) from error
    return runs


def _pass(record: Received, runs: dict[int, ShardRun]) -> None:
    run = runs.get(record.shard)
    if run is not None and record.sequence <= run.last:
        return
    if run is not None and record.sequence != run.last + 1:
        raise BrokenTopic(f"shard {record.shard} has a gap: {run.last} is followed by {record.sequence}")
    first = record.sequence if run is None else run.first
    runs[record.shard] = ShardRun(first, record.sequence, record.event_id)
