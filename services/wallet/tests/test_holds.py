"""Holds over HTTP on a real ledger, decided ahead and on locked rows."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import httpx2
import pytest

from contracts.ids import new_id
from servicekit.clock import utc_now
from testkit.databases import Database
from testkit.wallet_api import Client, money
from wallet.bootstrap.operating import FOLDING
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

EXPIRED_WITHIN_S = 30.0


async def funded(api: Client, amount: str = "10.00") -> str:
    wallet = await api.open()
    answer = await api.post("/v1/deposits", {"wallet_id": wallet, "amount": money(amount)})
    assert answer.status_code == 201, answer.text
    return wallet


async def hold(api: Client, wallet: str, amount: str, **more: Any) -> Any:
    answer = await api.post("/v1/holds", {"wallet_id": wallet, "amount": money(amount), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def balance(api: Client, wallet: str) -> tuple[str, str, str]:
    body = (await api.get(f"/v1/wallets/{wallet}")).json()["balance"]
    return body["posted"]["amount"], body["held"]["amount"], body["available"]["amount"]


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_hold_sets_money_aside_and_a_capture_pays_it(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    placed = await hold(api, payer, "6.00", reference="order 7")

    assert (placed["status"], placed["remaining"], placed["reference"]) == ("open", money("6.00"), "order 7")
    assert await balance(api, payer) == ("10.00", "6.00", "4.00")
    refused = await api.post("/v1/withdrawals", {"wallet_id": payer, "amount": money("4.01")})
    assert code(refused) == (409, "insufficient_funds")

    path = f"/v1/holds/{placed['id']}"
    captured = await api.post(
        f"{path}/capture", {"amount": money("2.50"), "destination_wallet_id": payee}, key="capture"
    )
    again = await api.post(f"{path}/capture", {"amount": money("2.50"), "destination_wallet_id": payee}, key="capture")
    assert (captured.status_code, captured.json()["type"]) == (201, "capture")
    assert captured.json()["amount"] == money("2.50")
    assert [each["amount"]["amount"] for each in captured.json()["entries"]] == ["-2.50", "2.50"]
    assert again.content == captured.content
    assert (await api.get(captured.headers["location"])).json() == captured.json()
    assert await balance(api, payer) == ("7.50", "3.50", "4.00")
    found = (await api.get(path)).json()
    assert (found["captured"], found["remaining"]) == (money("2.50"), money("3.50"))
    assert found["captures"] == [captured.json()["id"]]

    rest = await api.post(f"{path}/capture", {"external": {"destination": "IBAN"}})
    assert rest.status_code == 201, rest.text
    assert (await api.get(path)).json()["status"] == "captured"
    assert await balance(api, payer) == ("4.00", "0.00", "4.00")
    assert code(await api.post(f"{path}/void", {})) == (409, "hold_settled")


async def test_a_final_capture_releases_what_is_left(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    placed = await hold(api, payer, "6.00")
    captured = await api.post(
        f"/v1/holds/{placed['id']}/capture",
        {"amount": money("1.00"), "destination_wallet_id": payee, "final": True},
    )

    assert captured.status_code == 201, captured.text
    assert await balance(api, payer) == ("9.00", "0.00", "9.00")
    found = (await api.get(f"/v1/holds/{placed['id']}")).json()
    assert (found["status"], found["captured"], found["released"]) == ("captured", money("1.00"), money("5.00"))


async def test_a_hold_is_increased_and_voided(api: Client) -> None:
    payer = await funded(api)
    placed = await hold(api, payer, "6.00")
    path = f"/v1/holds/{placed['id']}"
    later = (utc_now() + timedelta(days=20)).isoformat()

    refused = await api.post(f"{path}/increase", {"amount": money("4.01")})
    increased = await api.post(f"{path}/increase", {"amount": money("4.00"), "expires_at": later})
    assert code(refused) == (409, "insufficient_funds")
    assert (increased.status_code, increased.json()["amount"]) == (200, money("10.00"))
    assert increased.json()["expires_at"] > placed["expires_at"]
    assert await balance(api, payer) == ("10.00", "10.00", "0.00")

    voided = await api.post(f"{path}/void", {"reason": "changed our minds"})
    assert (voided.json()["status"], voided.json()["released"]) == ("voided", money("10.00"))
    assert await balance(api, payer) == ("10.00", "0.00", "10.00")


@pytest.mark.parametrize("days", [-1, 32])
async def test_an_end_in_the_past_or_too_late_is_refused(api: Client, days: int) -> None:
    payer = await funded(api)
    when = (utc_now() + timedelta(days=days)).isoformat()
    refused = await api.post("/v1/holds", {"wallet_id": payer, "amount": money("1.00"), "expires_at": when})

    assert code(refused) == (409, "hold_expiry_out_of_range")
    assert refused.json()["max_days"] == 31
    assert await balance(api, payer) == ("10.00", "0.00", "10.00")


async def test_what_cannot_be_is_refused(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    placed = await hold(api, payer, "6.00")
    path = f"/v1/holds/{placed['id']}"

    too_much = await api.post(f"{path}/capture", {"amount": money("6.01"), "destination_wallet_id": payee})
    assert code(too_much) == (409, "capture_exceeds_hold")
    assert too_much.json()["remaining"] == money("6.00")
    both = {"destination_wallet_id": payee, "external": {}}
    for body in ({}, both, {"amount": money("0.00"), "destination_wallet_id": payee}):
        assert code(await api.post(f"{path}/capture", body)) == (422, "invalid_request")
    assert code(await api.post(f"{path}/increase", {})) == (422, "invalid_request")
    naive = {"wallet_id": payer, "amount": money("1.00"), "expires_at": "2030-01-01T00:00:00"}
    assert code(await api.post("/v1/holds", naive)) == (422, "invalid_request")
    assert code(await api.post(f"{path}/capture", {"destination_wallet_id": payer})) == (409, "same_wallet")
    assert code(await api.post(f"/v1/holds/{new_id()}/void", {})) == (404, "hold_not_found")
    assert code(await api.post(f"/v1/wallets/{payer}/close", {})) == (409, "wallet_not_empty")
    assert await balance(api, payer) == ("10.00", "6.00", "4.00")


async def test_a_wallets_open_holds_are_listed_newest_first(api: Client) -> None:
    payer = await funded(api)
    made = [await hold(api, payer, "1.00") for _ in range(3)]
    await api.post(f"/v1/holds/{made[1]['id']}/void", {})

    answer = await api.get("/v1/holds", wallet_id=payer, limit="1")
    assert answer.status_code == 200, answer.text
    first = answer.json()
    rest = (await api.get("/v1/holds", wallet_id=payer, limit="5", cursor=first["next_cursor"])).json()
    assert [each["id"] for each in first["data"] + rest["data"]] == [made[2]["id"], made[0]["id"]]
    assert (await api.get("/v1/holds", wallet_id=str(new_id()))).json()["data"] == []


async def test_two_captures_in_one_batch_share_what_is_held(api: Client, database: Database) -> None:
    payer, payee = await funded(api), await api.open()
    placed = await hold(api, payer, "6.00")
    member = {"type": "capture", "hold_id": placed["id"], "destination_wallet_id": payee, "amount": money("4.00")}

    both = await api.post("/v1/batches", {"mode": "independent", "commands": [member, member]})
    atomic = await api.post("/v1/batches", {"mode": "atomic", "commands": [{**member, "amount": money("1.00")}] * 3})

    assert [each["status"] for each in both.json()["results"]] == [201, 409]
    assert (atomic.status_code, atomic.json()["index"]) == (409, 2)
    admin = await asyncpg.connect(database.dsn_admin)
    try:
        row = await admin.fetchrow("select cap_minor, used_minor, status, version from wallet.state")
    finally:
        await admin.close()
    assert row is not None
    assert tuple(row) == (600, 400, 0, 2)


async def test_a_hold_ends_by_itself_and_its_money_is_available_again(api: Client, database: Database) -> None:
    payer = await funded(api)
    other = await hold(api, payer, "1.00")
    placed = await hold(api, payer, "6.00", expires_at=(utc_now() + timedelta(seconds=1)).isoformat())

    path = f"/v1/holds/{placed['id']}"
    async with asyncio.timeout(EXPIRED_WITHIN_S):
        while (await api.get(path)).json()["status"] == "open":  # noqa: ASYNC110 - the sweeper tells nobody
            await asyncio.sleep(0.05)
    found = (await api.get(path)).json()
    assert (found["status"], found["released"]) == ("expired", money("6.00"))
    assert await balance(api, payer) == ("10.00", "1.00", "9.00")
    assert (await api.get(f"/v1/holds/{other['id']}")).json()["status"] == "open"
    admin = await asyncpg.connect(database.dsn_admin)
    try:
        row = await admin.fetchrow("select actor, payload from wallet.journal order by occurred_at desc limit 1")
    finally:
        await admin.close()
    assert row is not None
    assert (row["actor"], b'"cause":"expired"' in row["payload"]) == ("wallet", True)


async def test_the_journal_makes_every_hold_again(api: Client, database: Database) -> None:
    payer, payee = await funded(api, "100.00"), await api.open()
    placed = [await hold(api, payer, "6.00", reference=f"order {number}") for number in range(4)]
    paths = [f"/v1/holds/{each['id']}" for each in placed]
    await api.post(f"{paths[0]}/capture", {"amount": money("2.50"), "destination_wallet_id": payee})
    await api.post(f"{paths[1]}/void", {"reason": "gone"})
    await api.post(f"{paths[2]}/increase", {"amount": money("1.00")})
    await api.post(f"{paths[3]}/capture", {"amount": money("1.00"), "external": {}, "final": True})

    verified = await verify(database.dsn_app, lambda _rows: None)
    rebuilt = await rebuild(database.dsn_app, FOLDING, lambda _rows: None)
    assert verified.holds, verified.findings
    assert rebuilt.is_equal, (rebuilt.differences, rebuilt.breaches)
    assert (rebuilt.wallets, rebuilt.states) == (2, 4)


async def test_a_hold_that_was_tampered_with_is_found_and_repaired(database: Database, api: Client) -> None:
    payer = await funded(api)
    await hold(api, payer, "6.00")
    admin = await asyncpg.connect(database.dsn_admin)
    try:
        await admin.execute("update wallet.state set used_minor = 100")
    finally:
        await admin.close()

    verified = await verify(database.dsn_app, lambda _rows: None)
    rebuilt = await rebuild(database.dsn_app, FOLDING, lambda _rows: None)
    assert [each.invariant for each in verified.findings] == ["I11"]
    assert [each.column for each in rebuilt.differences] == ["used_minor"]


async def test_a_hold_is_increased_a_hundred_times_at_most(client: Client) -> None:
    payer = await client.open(deposit="10.00")
    placed = await hold(client, payer, "1.00")
    member = {"type": "increase_hold", "hold_id": placed["id"], "amount": money("0.01")}
    all_of_them = await client.post("/v1/batches", {"mode": "atomic", "commands": [member] * 100})

    one_more = await client.post(f"/v1/holds/{placed['id']}/increase", {"amount": money("0.01")})

    assert all_of_them.status_code == 200
    assert (one_more.status_code, one_more.json()["code"]) == (409, "increase_limit_reached")


async def test_what_a_hold_and_its_terms_forbid_is_told_before_what_its_payer_lacks(api: Client) -> None:
    payer = await funded(api, "10.00")
    placed = await hold(api, payer, "10.00")
    await api.set_policy("holds", {"overcapture_ppm": 1_000_000})
    late = (utc_now() + timedelta(days=99)).isoformat()
    too_little = [{"external": {}, "amount": money("1.00")}]

    never = await api.post("/v1/holds", {"wallet_id": payer, "amount": money("1.00"), "expires_at": late})
    missed = await api.post(f"/v1/holds/{placed['id']}/capture", {"amount": money("15.00"), "destinations": too_little})

    assert code(never) == (409, "hold_expiry_out_of_range")
    assert code(missed) == (422, "distribution_mismatch")
