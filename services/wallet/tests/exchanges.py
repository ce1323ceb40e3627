"""An exchange for tests: rates in a file, a policy that offers pairs, and quotes of them."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from prometheus_client import CollectorRegistry

from servicekit.clock import utc_now
from servicekit.maintenance import JobRun
from servicekit.maintenance.leadership import Leadership
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database
from testkit.wallet_api import Client
from wallet.application.metrics import RateMetrics
from wallet.bootstrap.api import open_api
from wallet.bootstrap.housekeeping import open_maintenance
from wallet.config import WalletSettings
from wallet.rates.documents import parse_json
from wallet.rates.refreshing import RateRefresh
from wallet.rates.sources import RateSource

RATES = {"USD": "1.0823", "JPY": "162.60", "BHD": "0.4081"}
"""Of one euro."""


class Given:
    """A source that gives *body*."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def fetch(self) -> bytes:
        """Return the body."""
        return self.body


def rates_document(rates: dict[str, str] | None = None, *, age: timedelta = timedelta(hours=1), **more: str) -> bytes:
    """Return a document of *rates* against the euro, that is *age* old."""
    said: dict[str, Any] = {"base": "EUR", "as_of": (utc_now() - age).isoformat(), "rates": rates or RATES, **more}
    return json.dumps(said).encode()


async def refreshed(
    database: Database, source: RateSource, *, jump_ppm: int = 200_000, leadership: Leadership | None = None
) -> CollectorRegistry:
    """Fetch the rates of *source* once; return what it tells of itself."""
    registry = CollectorRegistry()
    refresh = RateRefresh(source=source, parse=parse_json, jump_ppm=jump_ppm, metrics=RateMetrics(registry))
    connection = await asyncpg.connect(database.dsn_app)
    try:
        await refresh.refresh(JobRun(connection, leadership))
    finally:
        await connection.close()
    return registry


@asynccontextmanager
async def exchanging(
    database: Database, path: Path, *, instances: int = 1, authority: AdmitsAs | None = None, **settings: Any
) -> AsyncIterator[list[Client]]:
    """Give a client of each of some instances that know the rates in the file at *path*."""
    made = WalletSettings(
        wallet_database_url=database.dsn_app,
        wallet_reader_database_url=database.dsn_reader,
        wallet_rates_url=path.as_uri(),
        **settings,
    )
    clients = []
    async with AsyncExitStack() as stack:
        house = Telemetry("wallet", "house", "0", CollectorRegistry(), Tracing("wallet", 0.0))
        await stack.enter_async_context(open_maintenance(made, house))
        for number in range(instances):
            telemetry = Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))
            app = await stack.enter_async_context(open_api(made, telemetry, authority=authority or AdmitsAs()))
            transport = httpx2.ASGITransport(app=app)
            http = await stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url="http://wallet"))
            clients.append(Client(http, keys=f"key-{number}"))
        yield clients


async def offer(client: Client, *pairs: tuple[str, str], spread_ppm: int = 5_000) -> None:
    """Let *pairs* be converted, and no others."""
    version = (await client.get("/v1/policy")).json()["version"]
    document = {
        "spread_ppm": spread_ppm,
        "pairs": [{"source_currency": source, "destination_currency": destination} for source, destination in pairs],
    }
    answer = await client.http.put(
        "/v1/policy/fx",
        json={"expected_version": version, "document": document},
        headers={"Idempotency-Key": client.key()},
    )
    assert answer.is_success, answer.text


async def quoted(client: Client, source: str, destination: str, amount: str, **more: Any) -> Any:
    """Return a quote of what *amount* of *source* comes to in *destination*."""
    body = {"source_currency": source, "destination_currency": destination, "source_amount": amount, **more}
    answer = await client.post("/v1/fx/quotes", body)
    assert answer.status_code == 201, answer.text
    return answer.json()
