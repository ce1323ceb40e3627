"""A migrated database per test, and its tables filled by the real projection."""

from collections.abc import AsyncIterator

import pytest

from servicekit.migrations import migrate
from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.databases import Database, Server, TemplateDatabase
from transaction_history import bootstrap


@pytest.fixture(scope="session")
def history_template(postgres_server: Server) -> TemplateDatabase:
    async def run(dsn_owner: str) -> None:
        await migrate(dsn_owner, bootstrap.migration_sources(), app_role="transaction_history_app")

    return TemplateDatabase(postgres_server, service="transaction_history", migrate=run)


@pytest.fixture
async def database(history_template: TemplateDatabase) -> AsyncIterator[Database]:
    async with history_template.database() as made:
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened
