"""Topics with their partitions, on our broker or on one from outside."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.topics import Topic
from engines.errors import EngineError

LEADER_POLL_S = 0.05
LEADER_WITHIN_S = 20.0


@asynccontextmanager
async def admin_client(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client, closed afterwards."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def ensure_topics(bootstrap_servers: str, topics: Iterable[Topic]) -> None:
    """Make the topics that are missing; EngineError where one exists with other partitions."""
    async with admin_client(bootstrap_servers) as admin:
        existing = set(await admin.list_topics())
        for topic in topics:
            if topic.name not in existing:
                await create_topic(admin, topic.name, topic.partitions, topic.configuration)
                continue
            (described,) = await admin.describe_topics([topic.name])
            if len(described["partitions"]) != topic.partitions:
                found = len(described["partitions"])
                raise EngineError(f"topic {topic.name} has {found} partitions where {topic.partitions} are expected")


async def create_topic(
    admin: AIOKafkaAdminClient, name: str, partitions: int, configs: Mapping[str, str] | None = None
) -> None:
    """Make a topic and wait until each of its partitions has a leader."""
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=dict(configs or {}))
    answer = await admin.create_topics([topic])
    failed = [error for error in answer.topic_errors if error[1] != 0]
    if failed:
        raise EngineError(f"the broker refused topic {name}: {failed}")
    async with asyncio.timeout(LEADER_WITHIN_S):
        while not await _has_leaders(admin, name, partitions):  # noqa: ASYNC110 - the event is in the broker
            await asyncio.sleep(LEADER_POLL_S)


async def _has_leaders(admin: AIOKafkaAdminClient, name: str, partitions: int) -> bool:
    (described,) = await admin.describe_topics([name])
    led = [each for each in described["partitions"] if each["leader"] >= 0]
    return described["error_code"] == 0 and len(led) == partitions
