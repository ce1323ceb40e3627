"""A migrated database per test, and its tables filled by the real projection."""

from collections.abc import AsyncIterator

import pytest

from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.databases import Database, Server, TemplateDatabase, migrated_template
from transaction_history import bootstrap


@pytest.fixture(scope="session")
def history_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "transaction_history", bootstrap.migration_sources())


@pytest.fixture
async def database(history_template: TemplateDatabase) -> AsyncIterator[Database]:
    async with history_template.database() as made:
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened
