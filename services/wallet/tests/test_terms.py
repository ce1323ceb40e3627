"""Credit lines, details, own limits and tiers over HTTP on a real ledger, decided ahead and on locked rows."""

from typing import Any

import asyncpg
import httpx2
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from contracts.money import EXPONENTS
from contracts.scopes import Kind
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs, principal_of
from testkit.databases import Database
from testkit.wallet_api import Client, money
from wallet.bootstrap.api import open_api
from wallet.bootstrap.operating import FOLDING
from wallet.config import WalletSettings
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def limit(**more: Any) -> dict[str, Any]:
    return {"scope": "wallet", "operation": "withdrawal", "currency": "USD", **more}


async def test_a_credit_line_is_set_used_and_not_taken_away_while_it_is_in_use(api: Client) -> None:
    wallet = await api.open(deposit="10.00")
    path = f"/v1/wallets/{wallet}/overdraft"
    set_ = await api.put(path, {"limit": money("5.00"), "reason": "a good customer"})
    assert (set_.status_code, set_.json()["overdraft_limit"]) == (200, money("5.00"))

    too_much = await api.post("/v1/withdrawals", {"wallet_id": wallet, "amount": money("15.01")})
    assert code(too_much) == (409, "insufficient_funds")
    assert (await api.post("/v1/withdrawals", {"wallet_id": wallet, "amount": money("13.00")})).status_code == 201
    refused = await api.put(path, {"limit": money("2.99"), "reason": "no longer"})
    assert code(refused) == (409, "overdraft_in_use")
    assert refused.json()["used"] == money("3.00")
    assert (await api.put(path, {"limit": money("3.00"), "reason": "exactly"})).status_code == 200
    negative = await api.put(path, {"limit": money("-1.00"), "reason": "less than nothing"})
    assert code(negative) == (422, "invalid_request")
    euros = await api.put(path, {"limit": {"amount": "9.00", "currency": "EUR"}, "reason": "euros"})
    assert code(euros) == (409, "currency_mismatch")


async def test_a_wallet_is_opened_with_a_credit_line(api: Client) -> None:
    body = {"owner_id": "ann", "currency": "USD", "overdraft_limit": money("7.00")}
    opened = await api.post("/v1/wallets", body)
    assert (opened.status_code, opened.json()["overdraft_limit"]) == (201, money("7.00"))
    euros = await api.post("/v1/wallets", {**body, "overdraft_limit": {"amount": "7.00", "currency": "EUR"}})
    assert code(euros) == (422, "invalid_request")


async def test_a_credit_line_from_the_beginning_needs_the_scope_of_credit_lines(
    settings: WalletSettings, telemetry: Telemetry
) -> None:
    """In a batch, too: a service may open wallets, and never set credit lines."""
    body = {"owner_id": "ann", "currency": "USD"}
    service = AdmitsAs(principal_of(kind=Kind.SERVICE))
    async with (
        open_api(settings, telemetry, authority=service) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://wallet") as http,
    ):
        client = Client(http)
        plain = await client.post("/v1/wallets", body)
        with_line = await client.post("/v1/wallets", {**body, "overdraft_limit": money("7.00")})
        member = {"type": "open_wallet", **body, "overdraft_limit": money("7.00")}
        batch = await client.post("/v1/batches", {"mode": "atomic", "commands": [member]})

    assert plain.status_code == 201
    assert [(code(each), each.json()["required_scope"]) for each in (with_line, batch)] == [
        ((403, "forbidden"), "overdraft:write")
    ] * 2


async def test_a_wallet_is_described(api: Client) -> None:
    wallet = await api.open()
    path = f"/v1/wallets/{wallet}/details"
    await api.put(path, {"label": "household", "metadata": {"b": "2", "a": "1"}})
    described = (await api.put(path, {"label": None})).json()
    assert (described["label"], described["metadata"]) == (None, {"a": "1", "b": "2"})
    assert described["version"] == 3
    assert (await api.get(f"/v1/wallets/{wallet}")).json() == described
    assert code(await api.put(path, {})) == (422, "invalid_request")
    assert code(await api.put(f"/v1/wallets/{new_id()}/details", {"label": "x"})) == (404, "wallet_not_found")
    await api.post(f"/v1/wallets/{wallet}/close", {})
    assert code(await api.put(path, {"label": "x"})) == (409, "wallet_closed")


async def test_a_wallets_own_limit_refuses_exactly_what_is_beyond_it(api: Client) -> None:
    wallet = await api.open(deposit="100.00")
    path = f"/v1/wallets/{wallet}/limits"
    own = limit(per_transaction="8.00", day_amount="10.00", day_count=2)
    answer = await api.put(path, {"time_zone": "Europe/Berlin", "limits": [own]})
    assert answer.status_code == 200, answer.text

    async def withdraw(amount: str) -> httpx2.Response:
        return await api.post("/v1/withdrawals", {"wallet_id": wallet, "amount": money(amount)})

    once = await withdraw("8.01")
    assert code(once) == (409, "limit_exceeded")
    assert {name: once.json()[name] for name in ("operation", "scope", "window", "measure", "max")} == {
        "operation": "withdrawal",
        "scope": "wallet",
        "window": "transaction",
        "measure": "amount",
        "max": money("8.00"),
    }
    assert (await withdraw("8.00")).status_code == 201
    beyond = (await withdraw("2.01")).json()
    assert (beyond["window"], beyond["used"], beyond["remaining"]) == ("day", money("8.00"), money("2.00"))
    assert beyond["resets_at"].endswith("Z")
    assert (await withdraw("1.00")).status_code == 201
    counted = (await withdraw("1.00")).json()
    assert (counted["measure"], counted["max"], counted["used"], counted["remaining"]) == ("count", 2, 2, 0)

    found = (await api.get(path)).json()
    assert (found["wallet_id"], found["time_zone"]) == (wallet, "Europe/Berlin")
    assert [(each["window"], each["measure"], each["remaining"]) for each in found["limits"]] == [
        ("transaction", "amount", money("8.00")),
        ("day", "amount", money("1.00")),
        ("day", "count", 0),
    ]
    assert all(each["is_own"] for each in found["limits"])
    other = await api.post(
        "/v1/transfers",
        {"source_wallet_id": wallet, "destination_wallet_id": await api.open(), "amount": money("50.00")},
    )
    assert other.status_code == 201, "a limit on withdrawals bounds no transfer"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"time_zone": "Europe/Atlantis"},
        {"limits": [limit(day_amount="-1")]},
        {"limits": [limit(day_count=-1)]},
        {"limits": [limit(operation="gift", day_count=1)]},
        {"limits": [limit(scope="owner", day_count=1)]},
        {"limits": [limit(currency="XYZ", day_count=1)]},
        {"limits": [limit(day_amount="1.001")]},
        {"limits": [limit()]},
        {"limits": [limit(balance="1.00")]},
        {"limits": [limit(day_count=1), limit(day_count=2)]},
        {"limits": [limit(day_count=1)] * 51},
    ],
)
async def test_limits_that_cannot_be_are_refused_and_change_nothing(api: Client, body: Any) -> None:
    wallet = await api.open()
    assert code(await api.put(f"/v1/wallets/{wallet}/limits", body)) == (422, "invalid_request")
    assert (await api.get(f"/v1/wallets/{wallet}")).json()["version"] == 1


async def test_limits_in_another_currency_are_refused(api: Client) -> None:
    wallet = await api.open("EUR")
    answer = await api.put(f"/v1/wallets/{wallet}/limits", {"limits": [limit(day_count=1)]})
    assert code(answer) == (409, "currency_mismatch")


async def test_an_owner_gets_a_tier_and_its_limits_count_all_its_wallets(api: Client) -> None:
    owner = "ann/of the hill"
    path = "/v1/owners/ann%2Fof%20the%20hill"
    assert code(await api.get(path)) == (404, "owner_not_found")
    one, two = await api.open(owner_id=owner, deposit="10.00"), await api.open(owner_id=owner, deposit="10.00")
    assert (await api.get(path)).json() == {"id": owner, "tier": "default", "version": 0, "updated_at": None}
    assert code(await api.put(f"{path}/tier", {"tier": "gold", "reason": "good"})) == (409, "unknown_tier")
    tiers = (
        {"name": "default", "limits": [limit(scope="owner", operation="debit", month_amount="1.00")]},
        {"name": "gold", "limits": [limit(scope="owner", operation="debit", month_amount="12.00")]},
    )
    await api.set_policy("tiers", tiers)

    async def withdraw(wallet: str, amount: str) -> httpx2.Response:
        return await api.post("/v1/withdrawals", {"wallet_id": wallet, "amount": money(amount)})

    assert (await withdraw(one, "1.00")).status_code == 201
    assert code(await withdraw(two, "0.01")) == (409, "limit_exceeded")
    changed = await api.put(f"{path}/tier", {"tier": "gold", "reason": "good"})
    assert (changed.status_code, changed.json()["tier"], changed.json()["version"]) == (200, "gold", 1), changed.text
    assert (await withdraw(two, "10.00")).status_code == 201
    refused = (await withdraw(one, "1.01")).json()
    assert (refused["scope"], refused["used"], refused["remaining"]) == ("owner", money("11.00"), money("1.00"))
    (use,) = (await api.get(f"/v1/wallets/{one}/limits")).json()["limits"]
    assert (use["used"], use["is_own"]) == (money("11.00"), False)
    assert (await withdraw(one, "1.00")).status_code == 201


async def test_the_tiers_of_many_owners_are_set_at_once(api: Client) -> None:
    """A rule names the first row that it misses: as many as a batch has owners are read together."""
    await api.set_policy("tiers", [{"name": "gold", "limits": []}])
    owners = [f"owner {number}" for number in range(9)]
    members = [{"type": "change_tier", "owner_id": each, "tier": "gold", "reason": "good"} for each in owners]

    answer = await api.post("/v1/batches", {"mode": "atomic", "commands": members})

    assert answer.status_code == 200, answer.text
    assert [each["body"]["id"] for each in answer.json()["results"]] == owners


async def test_an_instance_that_knows_no_row_captures_for_wallets_of_many_owners(
    client: Client, settings: WalletSettings
) -> None:
    await client.set_policy("tiers", [{"name": "gold", "limits": []}])
    payer = await client.open(owner_id="payer", deposit="10.00")
    payees = [await client.open(owner_id=f"owner {number}") for number in range(6)]
    hold = (await client.post("/v1/holds", {"wallet_id": payer, "amount": money("6.00")})).json()["id"]
    body = {"destinations": [{"wallet_id": each, "amount": money("1.00")} for each in payees]}

    way = settings.model_copy(update={"wallet_pipelining": False})
    telemetry = Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))
    async with (
        open_api(way, telemetry, authority=AdmitsAs()) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://wallet") as http,
    ):
        captured = await Client(http).post(f"/v1/holds/{hold}/capture", body, key="captured")

    assert captured.status_code == 201, captured.text


async def test_what_a_wallet_may_have_is_bounded_whoever_pays(api: Client) -> None:
    payee, payer = await api.open(), await api.open(deposit="100.00")
    own = limit(operation="deposit", balance="20.00")
    await api.put(f"/v1/wallets/{payee}/limits", {"limits": [own]})
    deposit = await api.post("/v1/deposits", {"wallet_id": payee, "amount": money("20.01")})
    assert (code(deposit), deposit.json()["window"]) == ((409, "limit_exceeded"), "balance")
    transfer = {"source_wallet_id": payer, "destination_wallet_id": payee}
    assert (await api.post("/v1/transfers", {**transfer, "amount": money("20.00")})).status_code == 201
    again = await api.post("/v1/transfers", {**transfer, "amount": money("0.01")})
    assert (code(again), again.json()["remaining"]) == ((409, "limit_exceeded"), money("0.00"))


async def test_what_a_hold_releases_is_given_back(api: Client) -> None:
    wallet = await api.open(deposit="100.00")
    path = f"/v1/wallets/{wallet}/limits"
    await api.put(path, {"limits": [limit(operation="payment", day_amount="10.00")]})
    placed = (await api.post("/v1/holds", {"wallet_id": wallet, "amount": money("6.00")})).json()
    hold = f"/v1/holds/{placed['id']}"
    assert code(await api.post(f"{hold}/increase", {"amount": money("4.01")})) == (409, "limit_exceeded")
    assert (await api.post(f"{hold}/increase", {"amount": money("4.00")})).status_code == 200

    async def left() -> Any:
        return (await api.get(path)).json()["limits"][0]["remaining"]

    assert await left() == money("0.00")
    captured = {"amount": money("3.00"), "external": {}, "final": True}
    assert (await api.post(f"{hold}/capture", captured)).status_code == 201
    assert await left() == money("7.00")
    other = (await api.post("/v1/holds", {"wallet_id": wallet, "amount": money("7.00")})).json()
    assert await left() == money("0.00")
    assert (await api.post(f"/v1/holds/{other['id']}/void", {})).status_code == 200
    assert await left() == money("7.00")


async def test_the_currencies_are_told_to_everybody(api: Client) -> None:
    found = (await api.get("/v1/currencies")).json()["data"]
    assert {each["code"]: each["exponent"] for each in found} == EXPONENTS


async def test_the_journal_makes_all_of_it_again_and_verify_holds(api: Client, database: Database) -> None:
    await test_what_a_hold_releases_is_given_back(api)
    await test_a_credit_line_is_set_used_and_not_taken_away_while_it_is_in_use(api)
    await test_a_wallet_is_described(api)
    await test_an_owner_gets_a_tier_and_its_limits_count_all_its_wallets(api)

    report = await verify(database.dsn_admin, lambda _: None)
    assert report.holds, report.findings
    rebuilt = await rebuild(database.dsn_admin, FOLDING, lambda _: None)
    assert rebuilt.is_equal, rebuilt.differences or rebuilt.breaches
    admin = await asyncpg.connect(database.dsn_admin)
    try:
        counted = await admin.fetchval("select count(*) from wallet.wallet where usage is not null")
    finally:
        await admin.close()
    assert counted > 0


@pytest.mark.parametrize("column", ["count", "amount_minor"])
async def test_verify_names_usage_that_is_not_what_happened(api: Client, database: Database, column: str) -> None:
    wallet = await api.open(deposit="100.00")
    await api.put(f"/v1/wallets/{wallet}/limits", {"limits": [limit(operation="debit", month_count=9)]})
    for _ in range(2):
        await api.post("/v1/withdrawals", {"wallet_id": wallet, "amount": money("1.00")})
    admin = await asyncpg.connect(database.dsn_admin)
    try:
        (usage,) = msgspec.json.decode(await admin.fetchval("select usage from wallet.wallet where id = $1", wallet))
        usage["month"][column] -= 1
        await admin.execute("update wallet.wallet set usage = $2 where id = $1", wallet, msgspec.json.encode([usage]))
    finally:
        await admin.close()

    report = await verify(database.dsn_admin, lambda _: None)

    assert [(finding.invariant, finding.place) for finding in report.findings] == [("I16", f"wallet {wallet}")]


async def test_verify_names_a_version_below_the_floor_of_its_time(api: Client, database: Database) -> None:
    wallet = await api.open(deposit="10.00")
    line = f"/v1/wallets/{wallet}/overdraft"
    await api.put(line, {"limit": money("5.00"), "reason": "a good customer"})
    await api.post("/v1/withdrawals", {"wallet_id": wallet, "amount": money("14.00")})
    assert (await verify(database.dsn_admin, lambda _: None)).holds
    admin = await asyncpg.connect(database.dsn_admin)
    try:
        told = "convert_to(replace(convert_from(payload, 'UTF8'), '5.00', '3.00'), 'UTF8')"
        await admin.execute(f"update wallet.journal set payload = {told} where account_id = $1 and type = 29", wallet)
    finally:
        await admin.close()

    report = await verify(database.dsn_admin, lambda _: None)

    assert [(finding.invariant, finding.place) for finding in report.findings] == [("I3", f"wallet {wallet} version 4")]
