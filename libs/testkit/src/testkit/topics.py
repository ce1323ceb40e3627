"""Topics that live as long as one test."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

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


async def create_topic(
    admin: AIOKafkaAdminClient, name: str, partitions: int, configs: Mapping[str, str] | None = None
) -> None:
    """Make a topic and wait until each of its partitions has a leader."""
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=dict(configs or {}))
    answer = await admin.create_topics([topic])
    failed = [error for error in answer.topic_errors if error[1] != 0]
    if failed:
        raise RuntimeError(f"the broker refused topic {name}: {failed}")
    async with asyncio.timeout(LEADER_WITHIN_S):
        while not await _has_leaders(admin, name, partitions):  # noqa: ASYNC110 - the event is in the broker
            await asyncio.sleep(LEADER_POLL_S)


async def _has_leaders(admin: AIOKafkaAdminClient, name: str, partitions: int) -> bool:
    (described,) = await admin.describe_topics([name])
    led = [each for each in described["partitions"] if each["leader"] >= 0]
    return described["error_code"] == 0 and len(led) == partitions


async def delete_topics(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    """Delete topics; one that a test has already deleted is no matter."""
    await admin.delete_topics(list(names))
