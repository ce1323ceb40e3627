"""The authority under test, on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from servicekit.access.projection import access_source
from servicekit.consumer import consumer_source
from servicekit.migrations import servicekit_source
from testkit.authority_bench import Bench, open_bench
from testkit.databases import Database, Server, TemplateDatabase, migrated_template


@pytest.fixture(scope="session")
def template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "test", [servicekit_source(), consumer_source(), access_source()])


@pytest.fixture
async def database(template: TemplateDatabase) -> AsyncIterator[Database]:
    async with template.database() as made:
        yield made


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with open_bench(database.dsn_app) as made:
        yield made
