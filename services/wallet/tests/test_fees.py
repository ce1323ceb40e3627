"""Fees over HTTP on a real ledger: entries of the transaction that they are for, borne by the payer or the payee."""

from typing import Any

import httpx2
import pytest

from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, money, transfer_of
from wallet.bootstrap.catalog import CATALOG
from wallet.maintenance.folding import Folding
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration


def rule(operation: str, bearer: str = "payer", **members: Any) -> dict[str, Any]:
    return {"id": f"{operation}-{bearer}", "operation": operation, "currency": "USD", "bearer": bearer, **members}


def entries(answer: httpx2.Response) -> list[tuple[str, str]]:
    """Return what each entry moves and where."""
    assert answer.status_code == 201, answer.text
    return [(each["amount"]["amount"], each.get("system_account", "wallet")) for each in answer.json()["entries"]]


def fees(answer: httpx2.Response) -> list[tuple[str, str]]:
    return [(each["rule"], each["amount"]["amount"]) for each in answer.json()["fees"]]


async def test_both_bear_theirs_in_the_same_transaction(api: Client) -> None:
    payer, payee = await api.open(deposit="100.00"), await api.open()
    await api.set_policy("fees", [rule("transfer", rate_ppm=25_000), rule("transfer", "payee", flat="0.30")])

    paid = await api.post("/v1/transfers", transfer_of(payer, payee, "10.20"))

    assert entries(paid) == [
        ("-10.20", "wallet"),
        ("10.20", "wallet"),
        ("-0.26", "wallet"),
        ("0.26", "fees:USD"),
        ("-0.30", "wallet"),
        ("0.30", "fees:USD"),
    ]
    assert fees(paid) == [("transfer-payer", "0.26"), ("transfer-payee", "0.30")]
    assert (await api.get(paid.headers["location"])).json() == paid.json()
    assert [await api.posted(each) for each in (payer, payee)] == ["89.54", "9.90"]


async def test_deposits_and_withdrawals_have_one_bearer(api: Client) -> None:
    wallet = await api.open(deposit="100.00")
    await api.set_policy("fees", [rule("deposit", "payee", flat="1.00"), rule("withdrawal", flat="2.00")])

    came = await api.post("/v1/deposits", deposit_of(wallet, "10.00"))
    went = await api.post("/v1/withdrawals", {"wallet_id": wallet, "amount": money("10.00")})

    assert (fees(came), fees(went)) == ([("deposit-payee", "1.00")], [("withdrawal-payer", "2.00")])
    assert await api.posted(wallet) == "97.00"


async def test_a_payment_costs_once_and_each_payee_its_own(api: Client) -> None:
    payer, one, other = await api.open(deposit="100.00"), await api.open(), await api.open()
    await api.set_policy("fees", [rule("payment", flat="0.50"), rule("payment", "payee", rate_ppm=100_000)])
    parts = [{"wallet_id": one, "amount": money("4.00")}, {"wallet_id": other, "rest": True}]

    paid = await api.post("/v1/payments", {"source_wallet_id": payer, "amount": money("10.00"), "destinations": parts})

    assert fees(paid) == [("payment-payee", "0.40"), ("payment-payee", "0.60"), ("payment-payer", "0.50")]
    assert [await api.posted(each) for each in (payer, one, other)] == ["89.50", "3.60", "5.40"]


async def test_what_is_not_there_for_the_fee_is_refused_and_a_dry_run_tells_it(api: Client) -> None:
    payer, payee = await api.open(deposit="10.00"), await api.open()
    await api.set_policy("fees", [rule("transfer", flat="0.10"), rule("transfer", "payee", flat="1.00")])

    tried = await api.post("/v1/transfers", transfer_of(payer, payee, "9.90"), dry_run="true")
    short = await api.post("/v1/transfers", transfer_of(payer, payee, "9.91"), dry_run="true")
    refused = await api.post("/v1/transfers", transfer_of(payer, payee, "10.00"))
    little = await api.post("/v1/transfers", transfer_of(payer, payee, "0.99"))
    just = await api.post("/v1/transfers", transfer_of(payer, payee, "1.00"))

    assert (tried.status_code, fees(tried)) == (200, [("transfer-payer", "0.10"), ("transfer-payee", "1.00")])
    assert (short.status_code, short.json()["fee"], short.json()["required"]) == (409, money("0.10"), money("10.01"))
    problem = refused.json()
    assert (problem["code"], problem["available"], problem["required"]) == (
        "insufficient_funds",
        money("10.00"),
        money("10.10"),
    )
    assert (little.status_code, little.json()["code"], little.json()["fee"]) == (
        409,
        "fee_exceeds_amount",
        money("1.00"),
    )
    assert (just.status_code, await api.posted(payee)) == (201, "0.00")


async def test_a_hold_reserves_the_fee_and_captures_take_their_share(api: Client) -> None:
    payer, payee = await api.open(deposit="100.00"), await api.open()
    await api.set_policy("fees", [rule("capture", rate_ppm=100_000)])

    held = (await api.post("/v1/holds", {"wallet_id": payer, "amount": money("9.99")})).json()
    await api.set_policy("fees", [])
    path = f"/v1/holds/{held['id']}"
    first = await api.post(f"{path}/capture", {"amount": money("3.33"), "destination_wallet_id": payee})
    between = (await api.get(path)).json()
    last = await api.post(f"{path}/capture", {"destination_wallet_id": payee})
    settled = (await api.get(path)).json()

    assert (held["amount"], held["fee_reserved"], held["remaining"]) == (money("9.99"), money("1.00"), money("9.99"))
    assert (fees(first), fees(last)) == ([("capture-payer", "0.33")], [("capture-payer", "0.67")])
    assert entries(first)[-2:] == [("-0.33", "wallet"), ("0.33", "fees:USD")]
    assert (between["status"], between["fee_reserved"], between["remaining"]) == ("open", money("0.67"), money("6.66"))
    assert (settled["status"], settled["fee_reserved"], settled["captured"]) == (
        "captured",
        money("0.00"),
        money("9.99"),
    )
    wallet = await api.wallet(payer)
    assert (wallet["balance"]["posted"], wallet["balance"]["held"]) == (money("89.01"), money("0.00"))


async def test_the_rest_of_the_fee_is_released_with_the_rest(api: Client) -> None:
    payer, payee = await api.open(deposit="100.00"), await api.open()
    await api.set_policy("fees", [rule("capture", flat="1.00")])
    holds = [(await api.post("/v1/holds", {"wallet_id": payer, "amount": money("10.00")})).json() for _ in range(2)]
    by_final, by_void = (f"/v1/holds/{each['id']}" for each in holds)

    final = {"amount": money("5.00"), "destination_wallet_id": payee, "final": True}
    assert fees(await api.post(f"{by_final}/capture", final)) == [("capture-payer", "0.50")]
    increased = (await api.post(f"{by_void}/increase", {"amount": money("10.00")})).json()
    voided = (await api.post(f"{by_void}/void", {})).json()

    assert (increased["amount"], increased["fee_reserved"]) == (money("20.00"), money("1.00"))
    assert (voided["released"], voided["fee_reserved"], voided["remaining"]) == (
        money("20.00"),
        money("0.00"),
        money("0.00"),
    )
    balance = (await api.wallet(payer))["balance"]
    assert (balance["posted"], balance["held"]) == (money("94.50"), money("0.00"))


async def test_all_of_it_is_proved_and_made_again(api: Client, database: Database) -> None:
    payer, payee = await api.open(deposit="100.00"), await api.open()
    await api.set_policy(
        "fees", [rule("transfer", rate_ppm=30_000), rule("capture", flat="0.40"), rule("capture", "payee", flat="0.10")]
    )
    await api.post("/v1/transfers", transfer_of(payer, payee, "10.00"))
    for final in (True, False):
        held = (await api.post("/v1/holds", {"wallet_id": payer, "amount": money("10.00")})).json()
        await api.post(f"/v1/holds/{held['id']}/increase", {"amount": money("1.00")})
        body = {"amount": money("3.00"), "destination_wallet_id": payee, "final": final}
        assert (await api.post(f"/v1/holds/{held['id']}/capture", body)).status_code == 201

    assert (await verify(database.dsn_app, lambda _rows: None)).holds
    report = await rebuild(database.dsn_app, Folding(CATALOG.facts, CATALOG.kinds), lambda _rows: None)
    assert report.is_equal, report.differences or report.breaches


async def test_a_payee_below_its_floor_bears_its_fee_out_of_what_it_gets(api: Client, database: Database) -> None:
    wallet = await api.open()
    paid_in = (await api.post("/v1/deposits", deposit_of(wallet, "10.00"))).json()["id"]
    await api.post("/v1/withdrawals", {"wallet_id": wallet, "amount": money("10.00")})
    await api.post(f"/v1/transactions/{paid_in}/chargebacks", {"reason": "the bank's"})
    await api.set_policy("fees", [rule("deposit", "payee", flat="1.00")])

    came = await api.post("/v1/deposits", deposit_of(wallet, "10.00"))

    assert (fees(came), await api.posted(wallet)) == ([("deposit-payee", "1.00")], "-1.00")
    assert (await verify(database.dsn_app, lambda _rows: None)).holds
    report = await rebuild(database.dsn_app, Folding(CATALOG.facts, CATALOG.kinds), lambda _rows: None)
    assert report.is_equal, report.differences or report.breaches


async def test_whose_tier_is_no_more_pays_what_the_default_tier_pays(api: Client) -> None:
    payer, payee = await api.open(deposit="100.00", owner_id="ann"), await api.open()
    await api.set_policy("tiers", [{"name": "gold", "limits": []}])
    assert (await api.put("/v1/owners/ann/tier", {"tier": "gold", "reason": "asked"})).status_code == 200
    await api.set_policy("tiers", [])
    everybodys = rule("transfer", flat="2.00")
    await api.set_policy("fees", [everybodys, {**everybodys, "id": "default", "tier": "default", "flat": "1.00"}])

    paid = await api.post("/v1/transfers", transfer_of(payer, payee, "10.00"))

    assert fees(paid) == [("default", "1.00")]


async def test_payees_of_many_owners_are_all_looked_at(api: Client) -> None:
    payer = await api.open(deposit="100.00", owner_id="payer")
    payees = [await api.open(owner_id=f"payee {number}") for number in range(6)]
    await api.set_policy(
        "tiers",
        [
            {
                "name": "gold",
                "limits": [{"scope": "wallet", "operation": "deposit", "currency": "USD", "balance": "9.00"}],
            }
        ],
    )
    parts = [{"wallet_id": each, "amount": money("1.00")} for each in payees]

    paid = await api.post("/v1/payments", {"source_wallet_id": payer, "amount": money("6.00"), "destinations": parts})

    assert paid.status_code == 201, paid.text
