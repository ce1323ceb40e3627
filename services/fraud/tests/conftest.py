"""A migrated database per test, rules and a short way to judge by them."""

from collections.abc import AsyncIterator

import pytest

from fraud import bootstrap
from servicekit.migrations import migrate
from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.databases import Database, Server, TemplateDatabase


@pytest.fixture(scope="session")
def fraud_template(postgres_server: Server) -> TemplateDatabase:
    async def run(dsn_owner: str) -> None:
        await migrate(dsn_owner, bootstrap.migration_sources(), app_role="fraud_app")

    return TemplateDatabase(postgres_server, service="fraud", migrate=run)


@pytest.fixture
async def database(fraud_template: TemplateDatabase) -> AsyncIterator[Database]:
    async with fraud_template.database() as made:
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened
