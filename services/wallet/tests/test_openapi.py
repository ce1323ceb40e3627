"""The API tells what it is."""

import pytest

from testkit.wallet_api import Client

pytestmark = pytest.mark.integration


async def test_the_document_tells_every_command_and_both_kinds_of_entries(client: Client) -> None:
    answer = await client.get("/openapi.json")

    assert answer.status_code == 200
    document = answer.json()
    assert {"/v1/transfers", "/v1/batches", "/v1/wallets/{wallet_id}/freeze"} <= set(document["paths"])
    entry = document["components"]["schemas"]["EntryBody"]
    assert set(entry["properties"]) == {"amount", "wallet_id", "balance_after", "version", "system_account"}
    assert entry["required"] == ["amount"]
