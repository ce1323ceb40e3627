"""The policy over HTTP on a real ledger: read, changed section by section, and in force from its acknowledgement on."""

from typing import Any, Final

import asyncpg
import pytest

from testkit.databases import Database
from testkit.wallet_api import Client, money
from wallet.bootstrap.catalog import CATALOG
from wallet.maintenance.folding import Folding
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

HOLDS: Final = "/v1/policy/holds"
FEES: Final = "/v1/policy/fees"
AS_IT_COMES: Final = {"days": 7, "days_max": 31, "overcapture_ppm": 0}


def rule(**members: Any) -> dict[str, Any]:
    return {"id": "r", "operation": "transfer", "currency": "USD", "bearer": "payer", "flat": "0.10", **members}


async def test_it_is_as_it_comes_until_it_is_changed(api: Client) -> None:
    before = (await api.get("/v1/policy")).json()
    body = {"expected_version": 0, "document": {"days": 2, "days_max": 3}}
    changed = await api.put(HOLDS, body, key="k")
    again = await api.put(HOLDS, body, key="k")
    stale = await api.put(HOLDS, body)
    tried = await api.put(HOLDS, {"expected_version": 1, "document": {}}, dry_run="true")
    after = (await api.get("/v1/policy")).json()

    assert (before["version"], before["updated_at"], before["fees"], before["holds"]) == (0, None, [], AS_IT_COMES)
    assert (changed.status_code, changed.json()) == (200, after)
    assert again.content == changed.content
    assert after["holds"] == {"days": 2, "days_max": 3, "overcapture_ppm": 0}
    assert (stale.status_code, stale.json()["code"], stale.json()["version"]) == (409, "policy_version_conflict", 1)
    assert (tried.status_code, tried.json()["version"], after["version"]) == (200, 2, 1)


async def test_it_stands_in_a_stream_of_its_own(api: Client, database: Database) -> None:
    for days in (1, 2, 3):
        await api.set_policy("holds", {"days": days})
    await api.set_policy("fees", [rule()])

    connection = await asyncpg.connect(database.dsn_admin)
    rows = await connection.fetch("select version, type, posted_after, account_id from wallet.journal order by seq")
    (row,) = await connection.fetch("select id, version from wallet.state")
    await connection.close()
    assert [(each["version"], each["type"], each["posted_after"]) for each in rows] == [
        (version, 33, None) for version in (1, 2, 3, 4)
    ]
    assert ({each["account_id"] for each in rows}, row["version"]) == ({row["id"]}, 4)
    assert (await verify(database.dsn_app, lambda _rows: None)).holds
    assert (await rebuild(database.dsn_app, Folding(CATALOG.facts, CATALOG.kinds), lambda _rows: None)).is_equal


async def test_a_version_that_lacks_its_event_is_found(api: Client, database: Database) -> None:
    await api.set_policy("holds", {"days": 1})
    connection = await asyncpg.connect(database.dsn_admin)
    await connection.execute("update wallet.state set version = 2")
    await connection.close()

    report = await verify(database.dsn_app, lambda _rows: None)

    assert [finding.invariant for finding in report.findings] == ["I11"]


async def test_holds_last_as_it_says(api: Client) -> None:
    wallet = await api.open(deposit="100.00")
    await api.set_policy("holds", {"days": 1, "days_max": 2, "overcapture_ppm": 200_000})

    held = (await api.post("/v1/holds", {"wallet_id": wallet, "amount": money("10.00")})).json()
    late = {"wallet_id": wallet, "amount": money("1.00"), "expires_at": "2999-01-01T00:00:00Z"}
    too_late = await api.post("/v1/holds", late)
    capture = f"/v1/holds/{held['id']}/capture"
    too_much = await api.post(capture, {"amount": money("12.01"), "external": {}})
    more = await api.post(capture, {"amount": money("12.00"), "external": {}})

    assert held["expires_at"][:10] != held["created_at"][:10]
    assert (too_late.json()["code"], too_late.json()["max_days"]) == ("hold_expiry_out_of_range", 2)
    assert (too_much.json()["code"], too_much.json()["remaining"]) == ("capture_exceeds_hold", money("10.00"))
    assert (more.status_code, await api.posted(wallet)) == (201, "88.00")
    settled = (await api.get(f"/v1/holds/{held['id']}")).json()
    assert (settled["status"], settled["amount"], settled["captured"]) == ("captured", money("12.00"), money("12.00"))


async def test_what_is_captured_beyond_a_hold_must_be_there(api: Client) -> None:
    wallet = await api.open(deposit="10.00")
    await api.set_policy("holds", {"overcapture_ppm": 1_000_000})
    held = (await api.post("/v1/holds", {"wallet_id": wallet, "amount": money("10.00")})).json()

    refused = await api.post(f"/v1/holds/{held['id']}/capture", {"amount": money("10.01"), "external": {}})

    assert (refused.status_code, refused.json()["code"]) == (409, "insufficient_funds")


@pytest.mark.parametrize(
    ("path", "document", "pointer", "code"),
    [
        (HOLDS, {"days": 0}, "/document/days", "invalid_value"),
        (HOLDS, {"days": 32}, "/document/days", "invalid_value"),
        (HOLDS, {"days": 9, "days_max": 8}, "/document/days", "invalid_value"),
        (HOLDS, {"overcapture_ppm": 1_000_001}, "/document/overcapture_ppm", "invalid_value"),
        (HOLDS, {"hours": 1}, "/document/hours", "unknown_field"),
        (FEES, [rule(), rule(id="s")], "/document/1", "contradiction"),
        (FEES, [rule(minimum="2.00", maximum="1.00")], "/document/0", "contradiction"),
        (FEES, [rule(flat=None, bands=[{"up_to": "2"}, {"up_to": "1"}, {}])], "/document/0", "contradiction"),
        (FEES, [rule(flat="0.001")], "/document/0/flat", "too_many_decimals"),
        (FEES, [rule(flat="-1")], "/document/0/flat", "invalid_amount"),
        (FEES, [rule(currency="XYZ")], "/document/0/currency", "unknown_currency"),
        (FEES, [rule(operation="refund")], "/document/0/operation", "invalid_value"),
        (FEES, [rule(valid_from="2026-01-01")], "/document/0/valid_from", "invalid_value"),
        (FEES, [rule(id=f"r{n}") for n in range(201)], "/document", "too_many"),
    ],
)
async def test_what_is_no_document_is_refused(
    client: Client, path: str, document: Any, pointer: str, code: str
) -> None:
    answer = await client.put(path, {"expected_version": 0, "document": document})

    assert answer.status_code == 422, answer.text
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, code)]
    assert (await client.get("/v1/policy")).json()["version"] == 0
