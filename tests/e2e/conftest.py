"""The platform without its processes, and a client of the wallet's API."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from tests.e2e.streaming import Platform, migrated

import transaction_history.bootstrap
import wallet.bootstrap.api
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Server
from testkit.wallet_api import Client
from wallet.config import WalletSettings


@pytest.fixture
async def platform(postgres_server: Server, kafka_bootstrap: str) -> AsyncIterator[Platform]:
    """Give the platform without its processes."""
    async with (
        migrated(postgres_server, "wallet", wallet.bootstrap.migration_sources()) as ledger,
        migrated(postgres_server, "transaction_history", transaction_history.bootstrap.migration_sources()) as history,
    ):
        yield Platform(ledger, history, kafka_bootstrap)


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[Client]:
    """Give a client of the API, which runs in this process."""
    telemetry = Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))
    ledger = platform.ledger
    settings = WalletSettings(wallet_database_url=ledger.dsn_app, wallet_reader_database_url=ledger.dsn_reader)
    async with wallet.bootstrap.api.open_api(settings, telemetry, authority=AdmitsAs()) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http)
