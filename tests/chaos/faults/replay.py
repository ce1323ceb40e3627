"""Having consumers read their topics again, from the beginning to the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from tests.chaos.judge import observe
from tests.chaos.judge.draining import DRAINED_WITHIN_S, caught_up
from tests.chaos.judge.observed import PARTITIONS
from tests.chaos.platform.broker import REQUEST_S, asked, group_offsets
from tests.chaos.platform.product import Consumer
from tests.chaos.run import Run

_FORGET = "delete from servicekit.checkpoint where projection = $1"


async def hashes(run: Run, consumers: Sequence[Consumer]) -> list[str]:
    """Return a digest of each consumer's state."""
    async with run.platform.connections() as connections:
        return [await observe.state_hash(connections[each.service], each.tables) for each in consumers]


async def deliver_from_start(run: Run, consumers: Sequence[Consumer], *, forgetful: bool = False) -> None:
    """Have *consumers*, on the databases of now, read all again; where *forgetful*, without their checkpoints."""
    await asyncio.gather(*(run.platform.stop(each.process) for each in consumers))
    async with run.platform.connections() as connections:
        for each in consumers:
            offsets = [TopicPartition(each.topic, partition, 0) for partition in range(PARTITIONS)]
            await _rewind(run, ConsumerGroupTopicPartitions(each.group, offsets))
            if forgetful:
                await connections[each.service].execute(_FORGET, each.group)
    await asyncio.gather(*(run.platform.start(each.process) for each in consumers))
    for each in consumers:
        await _read_again(run, each)


async def _rewind(run: Run, wanted: ConsumerGroupTopicPartitions) -> None:
    await asked(run, lambda admin: admin.alter_consumer_group_offsets([wanted], request_timeout=REQUEST_S))


async def _read_again(run: Run, consumer: Consumer) -> None:
    """Wait until *consumer* is where it was, and its group has told the broker of all: all of it was delivered."""
    async with run.platform.connections() as connections:
        await caught_up(connections, consumer)
    ends: dict[int, int] = {}
    for record in await observe.raw_records(run.platform.kafka.bootstrap_servers, consumer.topic):
        ends[record.partition] = record.offset + 1
    until_s = time.monotonic() + DRAINED_WITHIN_S
    while True:
        told = await group_offsets(run, consumer.group)
        if all(told.get(partition, 0) >= end for partition, end in ends.items()):
            return
        if time.monotonic() > until_s:
            raise TimeoutError(f"{consumer.group} is at {told}, the ends are {ends}")
        await asyncio.sleep(0.2)


@asynccontextmanager
async def fresh_databases(run: Run, consumers: Sequence[Consumer]) -> AsyncIterator[None]:
    """Give *consumers* empty databases while the body runs; afterwards their processes are ended."""
    platform = run.platform
    own = dict(platform.databases)
    async with AsyncExitStack() as stack:
        for service in dict.fromkeys(each.service for each in consumers):
            template = platform.site.templates[service]
            platform.databases[service] = await stack.enter_async_context(template.database())
        try:
            yield
        finally:
            platform.databases.update(own)
            await asyncio.gather(*(platform.kill(each.process) for each in consumers))
