"""Topics that live as long as one test."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from engines import topics

Configs = Mapping[str, str]


@asynccontextmanager
async def temporary_topic(
    bootstrap_servers: str, partitions: int = 1, configs: Configs | None = None
) -> AsyncIterator[str]:
    """Give the name of a new topic whose partitions have leaders, and delete it afterwards."""
    name = f"test-{secrets.token_hex(6)}"
    async with topics.admin_client(bootstrap_servers) as admin:
        await topics.create_topic(admin, name, partitions, configs)
    try:
        yield name
    finally:
        async with topics.admin_client(bootstrap_servers) as admin:
            await admin.delete_topics([name])
