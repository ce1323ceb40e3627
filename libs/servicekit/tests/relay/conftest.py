"""A database with a journal and the relay's tables, and a bench on it, for each of its tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from servicekit.migrations import MigrationSource, migrate, servicekit_source
from servicekit.postgres import Pool, open_pool
from servicekit.relay import relay_source
from servicekit.service import relay_pool_settings
from testkit.databases import Server, TemplateDatabase
from testkit.pytest_plugin import MakeTopic
from testkit.relay_bench import PARTITIONS, Bench


@pytest.fixture(scope="session")
def outbox_template(postgres_server: Server) -> TemplateDatabase:
    outbox = MigrationSource("outbox", Path(__file__).parent / "sql")

    async def run(dsn_owner: str) -> None:
        await migrate(dsn_owner, [servicekit_source(), relay_source(), outbox], app_role="outbox_app")

    return TemplateDatabase(postgres_server, service="outbox", migrate=run)


@pytest.fixture
async def pool(outbox_template: TemplateDatabase) -> AsyncIterator[Pool]:
    async with (
        outbox_template.database() as database,
        await open_pool(relay_pool_settings(database.dsn_app, application_name="test")) as opened,
    ):
        yield opened


@pytest.fixture
async def bench(pool: Pool, kafka_bootstrap: str, make_topic: MakeTopic) -> Bench:
    return Bench(pool, kafka_bootstrap, await make_topic(PARTITIONS))
