"""A database with the consumer's tables, and a bench on it, for each of its tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from servicekit.consumer import consumer_source
from servicekit.migrations import MigrationSource, migrate, servicekit_source
from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.consumer_bench import PARTITIONS, Bench
from testkit.databases import Server, TemplateDatabase
from testkit.pytest_plugin import MakeTopic


@pytest.fixture(scope="session")
def probe_template(postgres_server: Server) -> TemplateDatabase:
    probe = MigrationSource("probe", Path(__file__).parent / "sql")

    async def run(dsn_owner: str) -> None:
        await migrate(dsn_owner, [servicekit_source(), consumer_source(), probe], app_role="probe_app")

    return TemplateDatabase(postgres_server, service="probe", migrate=run)


@pytest.fixture
async def pool(probe_template: TemplateDatabase) -> AsyncIterator[Pool]:
    # Whoever holds up others is let go of within a second or two, so that tests need not wait.
    session = {"idle_in_transaction_session_timeout": "1s", "lock_timeout": "2s"}
    async with (
        probe_template.database() as database,
        await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test", session=session)) as opened,
    ):
        yield opened


@pytest.fixture
async def bench(pool: Pool, kafka_bootstrap: str, make_topic: MakeTopic) -> Bench:
    return Bench(pool, kafka_bootstrap, await make_topic(PARTITIONS))
