"""Limits on conversions over HTTP on a real ledger, decided ahead and on locked rows."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from services.wallet.tests.exchanges import Given, exchanging, offer, quoted, rates_document, refreshed

from testkit.databases import Database
from testkit.wallet_api import Client
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration


@pytest.fixture(params=[True, False], ids=["ahead", "on locked rows"])
async def api(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """Give a client of an API with rates, whose tenant offers dollars for euros."""
    path = tmp_path / "rates.json"
    path.write_bytes(rates_document())
    await refreshed(database, Given(path.read_bytes()))
    async with exchanging(database, path, wallet_pipelining=request.param) as (client,):
        await offer(client, ("USD", "EUR"))
        yield client


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_conversion_is_bounded_by_the_payers_limits_and_by_what_the_payee_may_have(
    api: Client, database: Database
) -> None:
    payer, payee = await api.open(deposit="1000.00"), await api.open("EUR")
    once = {"scope": "wallet", "operation": "conversion", "currency": "USD", "month_count": 1}
    full = {"scope": "wallet", "operation": "deposit", "currency": "EUR", "balance": "91.92"}
    await api.put(f"/v1/wallets/{payer}/limits", {"limits": [once]})
    await api.put(f"/v1/wallets/{payee}/limits", {"limits": [full]})

    async def converted() -> httpx2.Response:
        quote = await quoted(api, "USD", "EUR", "100.00")
        body = {"quote_id": quote["id"], "source_wallet_id": payer, "destination_wallet_id": payee}
        return await api.post("/v1/conversions", body)

    beyond = await converted()
    assert (code(beyond), beyond.json()["window"]) == ((409, "limit_exceeded"), "balance")
    await api.put(f"/v1/wallets/{payee}/limits", {"limits": []})
    assert (await converted()).status_code == 201
    again = await converted()
    assert (code(again), again.json()["operation"]) == ((409, "limit_exceeded"), "conversion")
    assert (await verify(database.dsn_admin, lambda _rows: None)).holds
