"""Quotes and conversions over HTTP on a real ledger, decided ahead and on locked rows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from services.wallet.tests.exchanges import Given, exchanging, offer, quoted, rates_document, refreshed

from contracts.ids import new_id
from contracts.scopes import Kind
from servicekit.maintenance import JobRun
from testkit.access import AdmitsAs, principal_of
from testkit.databases import Database
from testkit.wallet_api import Client, money
from wallet.bootstrap import jobs
from wallet.bootstrap.operating import FOLDING
from wallet.domain import conversions
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

EXPIRED_WITHIN_S = 30.0


@pytest.fixture
async def rates(tmp_path: Path, database: Database) -> Path:
    """Give the file of rates, which were fetched once."""
    path = tmp_path / "rates.json"
    path.write_bytes(rates_document())
    await refreshed(database, Given(path.read_bytes()))
    return path


@pytest.fixture(params=[True, False], ids=["ahead", "on locked rows"])
async def api(database: Database, rates: Path, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """Give a client of an API with rates, whose tenant offers dollars for euros and for yen."""
    async with exchanging(database, rates, wallet_pipelining=request.param) as (client,):
        await offer(client, ("USD", "EUR"), ("USD", "JPY"), ("EUR", "USD"))
        yield client


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def field_code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


async def convert(client: Client, quote: Any, source: str, destination: str, **more: Any) -> httpx2.Response:
    body = {"quote_id": quote["id"], "source_wallet_id": source, "destination_wallet_id": destination}
    return await client.post("/v1/conversions", body, **more)


async def written(database: Database) -> int:
    connection = await asyncpg.connect(database.dsn_admin)
    try:
        rows: int = await connection.fetchval("select count(*) from wallet.journal")
        return rows
    finally:
        await connection.close()


async def change(database: Database, statement: str) -> None:
    connection = await asyncpg.connect(database.dsn_admin)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_quote_promises_a_rate_and_a_conversion_uses_it(api: Client, database: Database) -> None:
    payer, payee = await api.open(deposit="1000.00"), await api.open("EUR")
    before = await written(database)
    asked = {"source_currency": "USD", "destination_currency": "EUR", "source_amount": "100.00"}
    first = await api.post("/v1/fx/quotes", asked, key="q")
    again = await api.post("/v1/fx/quotes", asked, key="q")

    quote = first.json()
    assert (first.status_code, again.content, again.headers["idempotency-replayed"]) == (201, first.content, "true")
    assert "ledger-position" not in first.headers
    assert await written(database) == before
    assert (quote["source_amount"], quote["destination_amount"]) == (money("100.00"), money("91.93", "EUR"))
    assert (quote["mid_rate"], quote["rate"]) == ("0.923958237088", "0.91933844590256")
    assert (quote["spread_ppm"], quote["source"], quote["fees"], quote["status"]) == (5_000, "json", [], "open")
    assert (await api.get(first.headers["location"])).json() == quote

    done = await convert(api, quote, payer, payee, key="c")
    repeated = await convert(api, quote, payer, payee, key="c")
    assert (done.status_code, done.json()["type"], repeated.content) == (201, "conversion", done.content)
    assert done.json()["amount"] == money("100.00")
    assert (await api.get(done.headers["location"])).json() == done.json()
    entries = done.json()["entries"]
    assert [(each.get("system_account", each.get("wallet_id")), each["amount"]["amount"]) for each in entries] == [
        (payer, "-100.00"),
        ("fx:USD", "100.00"),
        (payee, "91.93"),
        ("fx:EUR", "-92.40"),
        ("spread:EUR", "0.46"),
        ("rounding:EUR", "0.01"),
    ]
    used = (await api.get(first.headers["location"])).json()
    assert (used["status"], used["transaction_id"]) == ("used", done.json()["id"])
    assert [await api.posted(each) for each in (payer, payee)] == ["900.00", "91.93"]
    assert code(await convert(api, quote, payer, payee)) == (409, "quote_used")


async def test_a_conversion_is_refunded_in_what_the_payee_got_until_all_of_it_is_back(
    api: Client, database: Database
) -> None:
    payer, payee = await api.open(deposit="1000.00"), await api.open("EUR")
    asked = {"source_currency": "USD", "destination_currency": "EUR", "source_amount": "100.00"}
    quote = (await api.post("/v1/fx/quotes", asked)).json()
    path = f"/v1/transactions/{(await convert(api, quote, payer, payee)).json()['id']}"
    why = {"reason": "changed our minds"}

    for amount in ("0.01", "30.00", "0.07"):
        refund = await api.post(f"{path}/refunds", {**why, "amount": money(amount, "EUR")})
        assert refund.status_code == 201, refund.text
        assert (await api.get(refund.headers["location"])).json() == refund.json()
    assert (await api.get(path)).json()["refunded"] == money("30.08", "EUR")
    assert code(await api.post(f"{path}/refunds", {**why, "amount": money("1.00")})) == (409, "currency_mismatch")
    assert (await api.post(f"{path}/reversal", why)).status_code == 201

    assert [await api.posted(each) for each in (payer, payee)] == ["1000.00", "0.00"]
    report = await verify(database.dsn_app, lambda _rows: None)
    assert report.holds, report.findings
    left = {name: minor for name, minor in report.system_totals_minor.items() if not name.startswith("external:")}
    assert not any(left.values()), left


async def test_a_quote_can_be_asked_for_by_what_is_to_arrive(api: Client) -> None:
    body = {"source_currency": "USD", "destination_currency": "JPY", "destination_amount": "10000", "valid_s": 300}
    answer = await api.post("/v1/fx/quotes", body)

    assert answer.status_code == 201, answer.text
    assert answer.json()["destination_amount"] == money("10000", "JPY")
    assert answer.json()["source_amount"] == money("66.90")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"destination_currency": "USD", "source_amount": "1.00"}, "same_currency"),
        ({"destination_currency": "XYZ", "source_amount": "1.00"}, "unknown_currency"),
        ({"source_amount": "1.00", "destination_amount": "1.00"}, "one_amount"),
        ({}, "one_amount"),
        ({"source_amount": "0.00"}, "amount_not_positive"),
        ({"source_amount": "1.001"}, "too_many_decimals"),
        ({"source_amount": "NaN"}, "invalid_amount"),
        ({"source_amount": "-1"}, "invalid_amount"),
        ({"destination_amount": "9" * 30}, "invalid_amount"),
        ({"source_amount": "1.00", "valid_s": 0}, "invalid_value"),
        ({"source_amount": "1.00", "valid_s": 301}, "invalid_value"),
    ],
)
async def test_what_is_no_request_for_a_quote_is_said_so(
    rates: Path, database: Database, body: dict[str, Any], expected: str
) -> None:
    async with exchanging(database, rates) as (client,):
        answer = await client.post(
            "/v1/fx/quotes", {"source_currency": "USD", "destination_currency": "EUR", **body}, key="k"
        )
        await offer(client, ("USD", "EUR"))
        corrected = {"source_currency": "USD", "destination_currency": "EUR", "source_amount": "1.00"}
        free = await client.post("/v1/fx/quotes", corrected, key="k")

    assert field_code(answer) == (422, expected)
    assert free.status_code == 201


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"destination_currency": "BHD", "source_amount": "1.00"}, (422, "pair_not_offered")),
        ({"source_currency": "JPY", "destination_currency": "USD", "source_amount": "1"}, (422, "pair_not_offered")),
        ({"source_amount": "0.01"}, (422, "quote_amount_out_of_range")),
        ({"destination_currency": "JPY", "source_amount": "9000000000000.00"}, (422, "quote_amount_out_of_range")),
    ],
)
async def test_what_is_not_offered_is_refused_under_its_key(
    api: Client, database: Database, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    await offer(api, ("USD", "EUR"), ("USD", "JPY"), spread_ppm=500_000)
    before = await written(database)
    asked = {"source_currency": "USD", "destination_currency": "EUR", **body}
    answer = await api.post("/v1/fx/quotes", asked, key="k")
    again = await api.post("/v1/fx/quotes", asked, key="k")

    assert code(answer) == expected
    assert again.content == answer.content
    assert await written(database) == before


async def test_a_conversion_is_refused_for_what_stands_in_its_way(api: Client, database: Database) -> None:
    payer, payee, poor = await api.open(deposit="1000.00"), await api.open("EUR"), await api.open()
    yen, frozen = await api.open("JPY"), await api.open("EUR")
    await api.post(f"/v1/wallets/{frozen}/freeze", {"reason": "a look", "scope": "all"})
    quote = await quoted(api, "USD", "EUR", "100.00")
    before = await written(database)

    assert code(await convert(api, {"id": str(new_id())}, payer, payee)) == (404, "quote_not_found")
    assert code(await convert(api, quote, str(new_id()), payee)) == (404, "wallet_not_found")
    assert code(await convert(api, quote, payer, str(new_id()))) == (404, "wallet_not_found")
    assert field_code(await convert(api, quote, payer, payer)) == (422, "same_wallet")
    assert code(await convert(api, quote, poor, payee)) == (409, "insufficient_funds")
    assert code(await convert(api, quote, yen, payee)) == (409, "currency_mismatch")
    assert code(await convert(api, quote, payer, yen)) == (409, "currency_mismatch")
    assert code(await convert(api, quote, payer, frozen)) == (409, "wallet_frozen")
    assert await written(database) == before
    assert (await api.get(f"/v1/fx/quotes/{quote['id']}")).json()["status"] == "open"
    assert (await convert(api, quote, payer, payee)).status_code == 201


async def test_a_quote_is_another_tenants_nowhere(rates: Path, database: Database) -> None:
    authority = AdmitsAs()
    async with exchanging(database, rates, authority=authority) as (client,):
        await offer(client, ("USD", "EUR"))
        quote = await quoted(client, "USD", "EUR", "100.00")
        authority.principal = principal_of(tenant_id=new_id())
        payer, payee = await client.open(deposit="100.00"), await client.open("EUR")

        assert code(await convert(client, quote, payer, payee)) == (404, "quote_not_found")
        assert code(await client.get(f"/v1/fx/quotes/{quote['id']}")) == (404, "quote_not_found")


async def test_a_user_converts_from_wallets_it_acts_for(rates: Path, database: Database) -> None:
    authority = AdmitsAs()
    async with exchanging(database, rates, authority=authority) as (client,):
        await offer(client, ("USD", "EUR"))
        own, others = await client.open(deposit="100.00", owner_id="ann"), await client.open(deposit="100.00")
        payee = await client.open("EUR", owner_id="ann")
        authority.principal = principal_of("ann", kind=Kind.USER, acts_for=frozenset({"ann"}))
        quote = await quoted(client, "USD", "EUR", "100.00")

        assert code(await convert(client, quote, others, payee)) == (404, "wallet_not_found")
        assert (await convert(client, quote, own, payee)).status_code == 201


async def test_one_quote_is_used_once_by_many_at_two_instances(rates: Path, database: Database) -> None:
    async with exchanging(database, rates, instances=2) as clients:
        await offer(clients[0], ("USD", "EUR"))
        payer, payee = await clients[0].open(deposit="1000.00"), await clients[0].open("EUR")
        quote = await quoted(clients[0], "USD", "EUR", "100.00")
        answers = await asyncio.gather(*(convert(clients[n % 2], quote, payer, payee) for n in range(20)))

        assert sorted(answer.status_code for answer in answers) == [201, *[409] * 19]
        assert {answer.json().get("code") for answer in answers} == {None, "quote_used"}
        assert await clients[1].posted(payer) == "900.00"


async def test_quotes_and_conversions_stand_in_batches_and_in_dry_runs(api: Client, database: Database) -> None:
    payer, payee = await api.open(deposit="1000.00"), await api.open("EUR")
    asked = {"type": "quote", "source_currency": "USD", "destination_currency": "EUR", "source_amount": "100.00"}
    for mode in ("atomic", "independent"):
        answer = await api.post("/v1/batches", {"mode": mode, "commands": [asked, asked]}, key=mode)
        again = await api.post("/v1/batches", {"mode": mode, "commands": [asked, asked]}, key=mode)
        one, two = (each["body"] for each in answer.json()["results"])
        assert one["id"] != two["id"]
        assert [each["body"] for each in again.json()["results"]] == [one, two]
        use = {"type": "conversion", "source_wallet_id": payer, "destination_wallet_id": payee}
        both = [{**use, "quote_id": one["id"]}, {**use, "quote_id": two["id"]}]
        done = await api.post("/v1/batches", {"mode": mode, "commands": both})
        assert [each["status"] for each in done.json()["results"]] == [201, 201], done.text
    before = await written(database)
    body = {key: value for key, value in asked.items() if key != "type"}
    dry = await api.post("/v1/fx/quotes", body, dry_run="true")
    assert dry.status_code == 200, dry.text
    assert code(await api.get(f"/v1/fx/quotes/{dry.json()['id']}")) == (404, "quote_not_found")
    assert await written(database) == before
    assert await api.posted(payee) == "367.72"


async def test_without_a_fresh_rate_there_is_no_quote_and_its_key_stays_free(database: Database, rates: Path) -> None:
    asked = {"source_currency": "USD", "destination_currency": "EUR", "source_amount": "100.00"}
    rates = rates.with_name("none")
    await change(database, "update wallet.fx_rate set as_of = clock_timestamp() - interval '4 days'")
    async with exchanging(database, rates) as (client,):
        await offer(client, ("USD", "EUR"))
        stale = await client.post("/v1/fx/quotes", asked, key="k")
        batch = await client.post(
            "/v1/batches", {"mode": "independent", "commands": [{"type": "quote", **asked}]}, key="b"
        )
        atomic = await client.post("/v1/batches", {"mode": "atomic", "commands": [{"type": "quote", **asked}]}, key="a")
    await change(database, "update wallet.fx_rate set as_of = clock_timestamp()")
    async with exchanging(database, rates) as (client,):
        fresh = await client.post("/v1/fx/quotes", asked, key="k")
        await change(database, "delete from wallet.fx_rate")
    async with exchanging(database, rates) as (client,):
        repeated = await client.post("/v1/fx/quotes", asked, key="k")

    assert code(stale) == (503, "rate_unavailable")
    assert "retry-after" in stale.headers
    assert batch.json()["results"][0]["problem"]["code"] == "rate_unavailable"
    assert (code(atomic), atomic.json()["index"]) == ((503, "rate_unavailable"), 0)
    assert fresh.status_code == 201
    assert repeated.content == fresh.content, "a stored answer needs no rate"


async def test_without_an_address_of_rates_there_is_no_quote(client: Client, database: Database) -> None:
    await refreshed(database, Given(rates_document()))
    await offer(client, ("USD", "EUR"))
    asked = {"source_currency": "USD", "destination_currency": "EUR", "source_amount": "100.00"}

    assert code(await client.post("/v1/fx/quotes", asked)) == (503, "rate_unavailable")


async def test_a_quote_ends_by_itself_and_is_deleted_a_week_later(api: Client, database: Database) -> None:
    payer, payee = await api.open(deposit="1000.00"), await api.open("EUR")
    quote, kept = await quoted(api, "USD", "EUR", "100.00", valid_s=1), await quoted(api, "USD", "EUR", "1.00")
    used = await quoted(api, "USD", "EUR", "1.00")
    assert (await convert(api, used, payer, payee)).status_code == 201
    path = f"/v1/fx/quotes/{quote['id']}"
    async with asyncio.timeout(EXPIRED_WITHIN_S):
        while (await api.get(path)).json()["status"] == "open":  # noqa: ASYNC110 - the sweeper tells nobody
            await asyncio.sleep(0.05)
    assert (await api.get(path)).json()["status"] == "expired"
    assert code(await convert(api, quote, payer, payee)) == (409, "quote_expired")
    connection = await asyncpg.connect(database.dsn_app)
    try:
        run = JobRun(connection, None)
        assert await jobs.forget_quotes().run(run) == 0
        await change(database, "update wallet.state set due_at = due_at - interval '7 days' where status = 2")
        assert await jobs.forget_quotes().run(run) == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("delete from wallet.state")
    finally:
        await connection.close()
    assert code(await api.get(path)) == (404, "quote_not_found")
    assert [(await api.get(f"/v1/fx/quotes/{each['id']}")).status_code for each in (kept, used)] == [200, 200]
    assert code(await convert(api, quote, payer, payee)) == (404, "quote_not_found")


async def test_the_ledger_holds_and_is_made_again_without_its_quotes(api: Client, database: Database) -> None:
    payer, payee = await api.open(deposit="1000.00"), await api.open("EUR")
    for amount in ("100.00", "0.03", "77.77"):
        quote = await quoted(api, "USD", "EUR", amount)
        assert (await convert(api, quote, payer, payee)).status_code == 201
    await quoted(api, "USD", "EUR", "1.00")

    verified = await verify(database.dsn_app, lambda _rows: None)
    rebuilt = await rebuild(database.dsn_app, FOLDING, lambda _rows: None)
    assert verified.holds, verified.findings
    assert verified.system_totals_minor["fx:USD"] == 17_780
    assert rebuilt.is_equal, (rebuilt.differences, rebuilt.breaches)
    assert (rebuilt.wallets, rebuilt.states) == (2, 1)


async def test_a_conversion_costs_both_sides_in_the_currency_they_deal_in(api: Client, database: Database) -> None:
    payer, payee = await api.open(deposit="200.00"), await api.open("EUR")
    fee = {"operation": "conversion", "bearer": "payer", "currency": "USD", "id": "out", "flat": "1.00"}
    more = {"bearer": "payee", "currency": "EUR", "id": "in", "rate_ppm": 10_000, "tier": "default"}
    await api.set_policy("fees", [fee, fee | more])
    quote = await quoted(api, "USD", "EUR", "100.00")
    done = await convert(api, quote, payer, payee)

    assert [(each["bearer"], each["amount"]) for each in quote["fees"]] == [
        ("payer", money("1.00")),
        ("payee", money("1.92", "EUR")),
    ]
    assert [(each["rule"], each["amount"]) for each in done.json()["fees"]] == [
        ("out", money("1.00")),
        ("in", money("1.92", "EUR")),
    ]
    assert [await api.posted(each) for each in (payer, payee)] == ["99.00", "90.01"]
    assert (await verify(database.dsn_app, lambda _rows: None)).holds


async def test_open_quotes_convert_when_rates_and_policy_have_changed(api: Client, database: Database) -> None:
    payer, payee = await api.open(deposit="1000.00"), await api.open("EUR")
    quote = await quoted(api, "USD", "EUR", "100.00")
    await refreshed(database, Given(rates_document({"USD": "1.2"}, age=timedelta())))
    await offer(api)

    done = await convert(api, quote, payer, payee)
    assert done.status_code == 201
    assert await api.posted(payee) == "91.93"


@pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "the rounding entry dropped"])
async def test_an_entry_that_is_left_out_is_found(
    api: Client, database: Database, monkeypatch: pytest.MonkeyPatch, *, is_planted: bool
) -> None:
    payer, payee = await api.open(deposit="1000.00"), await api.open("EUR")
    quote = await quoted(api, "USD", "EUR", "100.00")
    whole = conversions.entries
    if is_planted:
        monkeypatch.setattr(conversions, "entries", lambda *given: whole(*given)[:-1])
    assert (await convert(api, quote, payer, payee)).status_code == 201

    report = await verify(database.dsn_app, lambda _rows: None)
    assert [each.invariant for each in report.findings] == (["I1"] if is_planted else [])
