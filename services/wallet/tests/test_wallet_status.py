"""Freezing, unfreezing and closing."""

import pytest

from testkit.wallet_api import Client, deposit_of, money, transfer_of

pytestmark = pytest.mark.integration


async def freeze(client: Client, wallet_id: str, scope: str) -> None:
    answer = await client.post(f"/v1/wallets/{wallet_id}/freeze", {"reason": "looked odd", "scope": scope})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "frozen"


async def test_scope_debits_refuses_debits_and_takes_credits(client: Client) -> None:
    wallet_id, other = await client.open(deposit="10"), await client.open(deposit="10")

    await freeze(client, wallet_id, "debits")

    debit = await client.post("/v1/transfers", transfer_of(wallet_id, other, "1"))
    credit = await client.post("/v1/transfers", transfer_of(other, wallet_id, "1"))
    assert (debit.status_code, debit.json()["code"]) == (409, "wallet_frozen")
    assert debit.json()["restrictions"] == [{"source": "operator", "scope": "debits"}]
    assert credit.status_code == 201


async def test_scope_all_refuses_credits_too(client: Client) -> None:
    wallet_id = await client.open()

    await freeze(client, wallet_id, "all")

    credit = await client.post("/v1/deposits", deposit_of(wallet_id, "1"))
    assert credit.json()["code"] == "wallet_frozen"


async def test_unfreezing_lifts_the_restriction_once(client: Client) -> None:
    wallet_id = await client.open(deposit="10")
    await freeze(client, wallet_id, "all")

    lifted = await client.post(f"/v1/wallets/{wallet_id}/unfreeze", {})
    again = await client.post(f"/v1/wallets/{wallet_id}/unfreeze", {"reason": "sure"})

    assert lifted.json()["status"] == "open"
    assert lifted.json()["restrictions"] == []
    assert again.json()["code"] == "wallet_not_frozen"
    paid = await client.post("/v1/withdrawals", {"wallet_id": wallet_id, "amount": money("1")})
    assert paid.status_code == 201


async def test_only_an_empty_wallet_is_closed_and_then_for_good(client: Client) -> None:
    wallet_id = await client.open(deposit="1")

    full = await client.post(f"/v1/wallets/{wallet_id}/close", {})
    await client.post("/v1/withdrawals", {"wallet_id": wallet_id, "amount": money("1")})
    closed = await client.post(f"/v1/wallets/{wallet_id}/close", {})
    credit = await client.post("/v1/deposits", deposit_of(wallet_id, "1"))
    again = await client.post(f"/v1/wallets/{wallet_id}/close", {})

    assert (full.status_code, full.json()["code"]) == (409, "wallet_not_empty")
    assert (closed.status_code, closed.json()["status"]) == (200, "closed")
    assert credit.json()["code"] == "wallet_closed"
    assert again.json()["code"] == "wallet_closed"
