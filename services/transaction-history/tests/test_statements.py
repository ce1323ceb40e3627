"""Statements from the settings to the file: over real tables, by a worker in this process."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from contracts.ids import new_id_text
from servicekit.postgres import Pool
from testkit.events import wallet_in
from testkit.export_api import OpenWorker
from testkit.read_api import ReadApi
from testkit.waiting import eventually
from testkit.watermarks import complete

pytestmark = pytest.mark.integration

SETTINGS = {"time_zone": "Europe/Berlin", "locale": "de", "schedule": "monthly", "formats": ["csv"]}


class StatementApi:
    def __init__(self, bench: ReadApi, pool: Pool) -> None:
        self.bench = bench
        self.pool = pool

    async def send(
        self, path: str, body: Any = None, *, method: str = "POST", key: str | None = None
    ) -> httpx2.Response:
        headers = {"Idempotency-Key": key or new_id_text()}
        return await self.bench.client.request(method, f"/v1/history/{path}", json=body, headers=headers)

    async def settle(self, until: datetime) -> None:
        """Have the ledger be complete up to *until*, and beyond what a closing waits for."""
        async with self.pool.connection() as connection:
            await complete(connection, until + timedelta(seconds=80))


@pytest.fixture
def api(bench: ReadApi, pool: Pool) -> StatementApi:
    return StatementApi(bench, pool)


async def test_a_period_is_closed_listed_and_fetched(api: StatementApi, open_worker: OpenWorker) -> None:
    wallet, stream = wallet_in(3), api.bench.stream
    await api.bench.project(stream.opened(wallet), *stream.deposit(wallet, 1_000), stream.fee(wallet, 30))
    put = await api.send("statement-settings", SETTINGS, method="PUT")
    await api.settle(datetime(2026, 2, 1, tzinfo=UTC))

    async with open_worker():

        async def is_closed() -> bool:
            return len((await api.bench.get("statements"))["data"]) == 1

        await eventually(is_closed)
        (statement,) = (await api.bench.get(f"statements?wallet_id={wallet}"))["data"]
        file = await api.bench.ask(f"statements/{statement['id']}/file?format=csv")

    assert put.status_code == 200, put.text
    assert (statement["number"], statement["period_from"], statement["period_to"]) == (1, "2026-01-01", "2026-02-01")
    assert (statement["opening"]["amount"], statement["closing"]["amount"]) == ("0.00", "9.70")
    assert file.status_code == 200, file.text
