"""A database with the leases' table, and jobs upon it."""

from collections.abc import AsyncIterator

import pytest

from servicekit.maintenance import maintenance_source
from servicekit.migrations import servicekit_source
from testkit.databases import Database, Server, TemplateDatabase, migrated_template


@pytest.fixture(scope="session")
def maintenance_template(postgres_server: Server) -> TemplateDatabase:
    """Give the migrated template."""
    return migrated_template(postgres_server, "upkept", [servicekit_source(), maintenance_source()])


@pytest.fixture
async def database(maintenance_template: TemplateDatabase) -> AsyncIterator[Database]:
    """Give this test's database."""
    async with maintenance_template.database() as made:
        yield made
