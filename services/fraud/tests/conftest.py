"""A migrated database per test, rules and a short way to judge by them."""

from collections.abc import AsyncIterator

import pytest

from fraud import bootstrap
from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.databases import Database, Server, TemplateDatabase, migrated_template


@pytest.fixture(scope="session")
def fraud_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "fraud", bootstrap.migration_sources())


@pytest.fixture
async def database(fraud_template: TemplateDatabase) -> AsyncIterator[Database]:
    async with fraud_template.database() as made:
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened
