"""The wallet under test: a database per test from one template, and the API in process upon it."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from servicekit.migrations import migrate
from servicekit.telemetry import Telemetry, Tracing
from testkit.databases import Database, Server, TemplateDatabase
from testkit.wallet_api import Client
from wallet.bootstrap import migration_sources, open_api
from wallet.config import WalletSettings


@pytest.fixture(scope="session")
def wallet_template(postgres_server: Server) -> TemplateDatabase:
    """Give the migrated template."""

    async def build(owner_dsn: str) -> None:
        await migrate(owner_dsn, migration_sources(), app_role="wallet_app")

    return TemplateDatabase(postgres_server, service="wallet", migrate=build)


@pytest.fixture
async def database(wallet_template: TemplateDatabase) -> AsyncIterator[Database]:
    """Give this test's database."""
    async with wallet_template.database() as made:
        yield made


@pytest.fixture
def telemetry() -> Telemetry:
    """Give telemetry that nobody reads."""
    return Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))


@pytest.fixture
def settings(database: Database) -> WalletSettings:
    """Give the settings of this test's processes."""
    return WalletSettings(wallet_database_url=database.dsn_app)


@pytest.fixture
async def client(settings: WalletSettings, telemetry: Telemetry) -> AsyncIterator[Client]:
    """Give a client of the API, which runs in this process on real PostgreSQL."""
    async with open_api(settings, telemetry) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http)
