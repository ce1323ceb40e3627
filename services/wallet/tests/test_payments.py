"""Payments to many over HTTP on a real ledger."""

from typing import Any

import httpx2
import pytest

from contracts.ids import new_id
from testkit.wallet_api import Client, money

pytestmark = pytest.mark.integration


async def pay(api: Client, payer: str, amount: str, *destinations: Any, **more: Any) -> httpx2.Response:
    body = {"source_wallet_id": payer, "amount": money(amount), "destinations": list(destinations)}
    return await api.post("/v1/payments", body, **more)


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_payment_goes_to_many_in_one_transaction(api: Client) -> None:
    payer = await api.open(deposit="100.00")
    seller, courier, platform = [await api.open() for _ in range(3)]

    paid = await pay(
        api,
        payer,
        "10.01",
        {"wallet_id": courier, "amount": money("2.00")},
        {"wallet_id": seller, "share_ppm": 900_000},
        {"wallet_id": platform, "share_ppm": 100_000},
        key="k",
    )
    again = await pay(
        api,
        payer,
        "10.01",
        {"wallet_id": courier, "amount": money("2.00")},
        {"wallet_id": seller, "share_ppm": 900_000},
        {"wallet_id": platform, "share_ppm": 100_000},
        key="k",
    )

    assert (paid.status_code, paid.json()["type"], again.content) == (201, "payment", paid.content)
    assert [each["amount"]["amount"] for each in paid.json()["entries"]] == ["-10.01", "2.00", "7.21", "0.80"]
    assert (await api.get(paid.headers["location"])).json() == paid.json()
    assert [await api.posted(each) for each in (payer, courier, seller, platform)] == ["89.99", "2.00", "7.21", "0.80"]


async def test_a_payment_leaves_the_platform_too(api: Client) -> None:
    payer, payee = await api.open(deposit="100.00"), await api.open()
    out = {"external": {"destination": "IBAN"}, "rest": True}

    both = await pay(api, payer, "10.00", {"wallet_id": payee, "amount": money("4.00")}, out)
    alone = await pay(api, payer, "10.00", out)

    assert (both.status_code, alone.status_code) == (201, 201)
    assert both.json()["destination"] == "IBAN"
    assert both.json()["entries"][2] == {"amount": money("6.00"), "system_account": "external:USD"}
    assert await api.posted(payer) == "80.00"


async def test_what_cannot_be_paid_is_refused_and_changes_nothing(api: Client) -> None:
    payer, payee = await api.open(deposit="10.00"), await api.open()
    euros = await api.open("EUR")
    all_of_it = {"wallet_id": payee, "rest": True}

    assert code(await pay(api, payer, "10.01", all_of_it)) == (409, "insufficient_funds")
    assert code(await pay(api, payer, "5.00", {"wallet_id": euros, "rest": True})) == (409, "currency_mismatch")
    assert code(await pay(api, payer, "5.00", {"wallet_id": str(new_id()), "rest": True})) == (404, "wallet_not_found")
    short = {"wallet_id": payee, "amount": money("4.99")}
    assert code(await pay(api, payer, "5.00", short)) == (422, "distribution_mismatch")
    nothing = {"wallet_id": euros, "share_ppm": 1}
    assert code(await pay(api, payer, "5.00", all_of_it, nothing)) == (422, "share_too_small")
    for bad in (
        [],
        [all_of_it] * 2,
        [{"wallet_id": payer, "rest": True}],
        [{"wallet_id": payee}],
        [{"wallet_id": payee, "rest": True, "share_ppm": 5}],
        [{"rest": True}],
        [{"wallet_id": payee, "external": {}, "rest": True}],
        [{"wallet_id": payee, "amount": {"amount": "5.00", "currency": "EUR"}}],
        [{"wallet_id": str(new_id()), "share_ppm": 1} for _ in range(101)],
    ):
        assert code(await pay(api, payer, "5.00", *bad)) == (422, "invalid_request")
    assert [await api.posted(each) for each in (payer, payee)] == ["10.00", "0.00"]


async def test_a_hold_is_captured_to_many(api: Client) -> None:
    payer, seller, platform = await api.open(deposit="10.00"), await api.open(), await api.open()
    placed = (await api.post("/v1/holds", {"wallet_id": payer, "amount": money("8.00")})).json()

    captured = await api.post(
        f"/v1/holds/{placed['id']}/capture",
        {"destinations": [{"wallet_id": platform, "share_ppm": 125_000}, {"wallet_id": seller, "rest": True}]},
    )

    assert captured.status_code == 201, captured.text
    assert [await api.posted(each) for each in (payer, platform, seller)] == ["2.00", "1.00", "7.00"]
