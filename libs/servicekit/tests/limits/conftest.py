"""A database with the buckets' table."""

from collections.abc import AsyncIterator

import pytest

from servicekit.limits import limits_source
from servicekit.migrations import servicekit_source
from servicekit.postgres import Connection, connect
from testkit.databases import Database, Server, TemplateDatabase, migrated_template


@pytest.fixture(scope="session")
def limits_template(postgres_server: Server) -> TemplateDatabase:
    """Give the migrated template."""
    return migrated_template(postgres_server, "limited", [servicekit_source(), limits_source()])


@pytest.fixture
async def database(limits_template: TemplateDatabase) -> AsyncIterator[Database]:
    """Give this test's database."""
    async with limits_template.database() as made:
        yield made


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    """Give a connection of the app's role."""
    opened = await connect(database.dsn_app, application_name="test")
    yield opened
    await opened.close()
