"""Deposits, withdrawals and transfers over HTTP on real PostgreSQL."""

import asyncio
import json

import asyncpg
import pytest

from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, money, transfer_of

pytestmark = pytest.mark.integration


async def test_a_deposit_is_answered_with_its_transaction_and_where_it_landed(client: Client) -> None:
    wallet_id = await client.open()

    answer = await client.post("/v1/deposits", deposit_of(wallet_id, "12.3", reference="order 7"))

    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/transactions/{body['id']}"
    assert answer.headers["Ledger-Position"] == f"{int(wallet_id[-2:], 16) & 63}-3"
    assert body["type"] == "deposit"
    assert body["status"] == "posted"
    assert body["reference"] == "order 7"
    assert body["entries"] == [
        {"wallet_id": wallet_id, "amount": money("12.30"), "balance_after": money("12.30"), "version": 2},
        {"system_account": "external:USD", "amount": money("-12.30")},
    ]
    assert (await client.get(answer.headers["Location"])).json() == body


async def test_a_transfer_moves_money_between_two_wallets(client: Client) -> None:
    payer, payee = await client.open(deposit="100"), await client.open()

    answer = await client.post("/v1/transfers", transfer_of(payer, payee, "40.5"))

    assert answer.status_code == 201
    assert [entry["amount"]["amount"] for entry in answer.json()["entries"]] == ["-40.50", "40.50"]
    assert await client.posted(payer) == "59.50"
    assert await client.posted(payee) == "40.50"


async def test_a_withdrawal_pays_out_what_is_there(client: Client) -> None:
    wallet_id = await client.open(deposit="10")

    paid = await client.post(
        "/v1/withdrawals", {"wallet_id": wallet_id, "amount": money("10"), "destination": "IBAN 1"}
    )
    refused = await client.post("/v1/withdrawals", {"wallet_id": wallet_id, "amount": money("0.01")})

    assert paid.status_code == 201
    assert paid.json()["destination"] == "IBAN 1"
    assert refused.status_code == 409
    assert refused.json()["code"] == "insufficient_funds"
    assert refused.json()["available"] == money("0.00")


async def test_currencies_keep_their_decimals(client: Client) -> None:
    yen, dinar = await client.open("JPY", deposit="500"), await client.open("BHD", deposit="1.234")

    assert await client.posted(yen) == "500"
    assert await client.posted(dinar) == "1.234"


async def test_transactions_are_found_by_their_reference_newest_first(client: Client) -> None:
    wallet_id = await client.open()
    made = [
        (await client.post("/v1/deposits", deposit_of(wallet_id, "1", reference="r"))).json()["id"] for _ in range(3)
    ]

    first = (await client.get("/v1/transactions", reference="r", limit="2")).json()
    second = (await client.get("/v1/transactions", reference="r", limit="2", cursor=first["next_cursor"])).json()

    assert [each["id"] for each in first["data"] + second["data"]] == list(reversed(made))
    assert second["next_cursor"] is None
    assert (await client.get("/v1/transactions", reference="another")).json() == {"data": [], "next_cursor": None}


async def test_wallets_are_listed_by_owner_currency_and_status(client: Client) -> None:
    mine = [await client.open(owner_id="me") for _ in range(3)]
    await client.open(owner_id="somebody else")
    frozen = await client.open("EUR", owner_id="me")
    await client.post(f"/v1/wallets/{frozen}/freeze", {"reason": "check", "scope": "all"})

    first = (await client.get("/v1/wallets", owner_id="me", currency="USD", limit="2")).json()
    second = (
        await client.get("/v1/wallets", owner_id="me", currency="USD", limit="2", cursor=first["next_cursor"])
    ).json()
    stopped = (await client.get("/v1/wallets", owner_id="me", status="frozen")).json()

    assert [wallet["id"] for wallet in first["data"] + second["data"]] == list(reversed(mine))
    assert [wallet["id"] for wallet in stopped["data"]] == [frozen]


async def test_opposite_transfers_at_once_neither_deadlock_nor_lose_money(client: Client) -> None:
    one, two = await client.open(deposit="100"), await client.open(deposit="100")

    answers = await asyncio.gather(
        *(client.post("/v1/transfers", transfer_of(one, two, "1")) for _ in range(50)),
        *(client.post("/v1/transfers", transfer_of(two, one, "1")) for _ in range(50)),
    )

    assert {answer.status_code for answer in answers} == {201}
    assert await client.posted(one) == "100.00"
    assert await client.posted(two) == "100.00"


async def test_a_dry_run_tells_what_would_happen_and_writes_nothing(client: Client) -> None:
    payer, payee = await client.open(deposit="5"), await client.open()

    done = await client.post("/v1/transfers", transfer_of(payer, payee, "5"), dry_run="true")
    refused = await client.post("/v1/transfers", transfer_of(payer, payee, "6"), dry_run="true")

    assert done.status_code == 200
    assert "Location" not in done.headers
    assert done.json()["entries"][0]["balance_after"] == money("0.00")
    assert refused.status_code == 409
    assert await client.posted(payer) == "5.00"
    assert (await client.wallet(payee))["version"] == 1


@pytest.mark.parametrize("metadata", [{}, {"a": ""}, None])
async def test_empty_values_stay_what_they_are(
    client: Client, database: Database, metadata: dict[str, str] | None
) -> None:
    opening = {"owner_id": "o", "currency": "USD", "label": "", "metadata": metadata}
    opened = (await client.post("/v1/wallets", opening)).json()
    moved = (await client.post("/v1/deposits", deposit_of(opened["id"], "1", metadata=metadata, description=""))).json()

    read = await client.wallet(opened["id"])
    transaction = (await client.get(f"/v1/transactions/{moved['id']}")).json()
    connection = await asyncpg.connect(database.dsn_app)
    payloads = await connection.fetch("select payload from wallet.journal where system_account is null order by seq")
    await connection.close()

    told = [json.loads(each["payload"])["private"] for each in payloads]
    assert [body["metadata"] for body in (opened, read, moved, transaction, *told)] == [metadata] * 6
    assert [body["label"] for body in (opened, read, told[0])] == [""] * 3
    assert [body["description"] for body in (moved, transaction, told[1])] == [""] * 3
