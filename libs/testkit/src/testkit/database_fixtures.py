"""Fixtures of a service's database. Its conftest gives `database_template`, once per session."""

from collections.abc import AsyncIterator

import pytest

from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.databases import Database, TemplateDatabase


@pytest.fixture
async def database(database_template: TemplateDatabase) -> AsyncIterator[Database]:
    """Give a migrated database for this test alone."""
    async with database_template.database() as made:
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Give the service's connections to it."""
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened
