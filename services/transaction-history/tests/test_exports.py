"""Exports from the request to the file: over real tables, by a worker in this process."""

import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import openpyxl
import pytest

from contracts.ids import new_id, new_id_text
from servicekit.postgres import Pool
from testkit.access import principal_of
from testkit.events import PRIVATE, wallet_in
from testkit.export_api import EXPORTS, JOBS, ExportApi, OpenWorker, rows_of
from testkit.read_api import ReadApi
from transaction_history.domain.jobs import QUEUED_MAX

pytestmark = pytest.mark.integration


@pytest.fixture
def api(bench: ReadApi) -> ExportApi:
    return ExportApi(bench)


async def put_in(bench: ReadApi, amounts: Sequence[int], *, shard: int = 3, owner: str = "owner") -> str:
    """Open a wallet and pay *amounts* in; return its id."""
    wallet = wallet_in(shard)
    await bench.project(bench.stream.opened(wallet, owner=owner))
    for amount in amounts:
        await bench.project(*bench.stream.deposit(wallet, amount, owner=owner))
    return str(wallet)


async def test_an_export_is_a_file_of_what_was_there(bench: ReadApi, api: ExportApi, open_worker: OpenWorker) -> None:
    wallet = await put_in(bench, [1_234, 50])
    export_id = await api.ask()
    before = await bench.get(f"exports/{export_id}")
    async with open_worker():
        made = await api.ended(export_id)
        await put_in(bench, [7])  # later

    data = await api.file(export_id)
    rows = rows_of(data)
    assert (before["status"], before["as_of"], before["file"]) == ("queued", None, None)
    assert (made["status"], made["attempts"], made["done_rows"], made["as_of"]) == ("succeeded", 1, 2, "3-5")
    assert made["file"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert (made["file"]["rows"], made["file"]["size_bytes"]) == (2, len(data))
    assert made["file"]["name"].startswith("entries-2")
    assert made["request"]["dataset"] == "entries"
    assert [row["amount"] for row in rows] == ["12.34", "0.50"]
    first = rows[0]
    assert (first["wallet_id"], first["owner_id"], first["currency"]) == (wallet, "owner", "USD")
    assert (first["balance_posted"], first["counterparty_account"]) == ("12.34", "external:USD")
    assert (first["reference"], first["metadata"]) == ("order-1", '{"shop":"north"}')
    assert (first["occurred_at"], first["is_forced"]) == ("2026-01-01T00:00:02.000000Z", "false")
    page = (await bench.get(f"wallets/{wallet}/entries"))["data"]
    assert [row["id"] for row in reversed(rows)] == [entry["id"] for entry in page]


async def test_each_format_says_the_same(bench: ReadApi, api: ExportApi, open_worker: OpenWorker) -> None:
    await put_in(bench, [1_234, 50])
    columns = ["amount", "currency", "owner_id", "version", "occurred_at"]
    told: dict[str, Any] = {"columns": columns, "time_zone": "Europe/Berlin"}

    plain = await api.made(open_worker, format="csv", **told)
    packed = await api.made(open_worker, format="csv", gzip=True, **told)
    lines = await api.made(open_worker, format="jsonl", **told)
    packed_lines = await api.made(open_worker, format="jsonl", gzip=True, **told)
    book = openpyxl.load_workbook(io.BytesIO(await api.made(open_worker, format="xlsx", **told)))

    first = ["12.34", "USD", "owner", "2", "2026-01-01T01:00:02.000000+01:00"]
    assert list(rows_of(plain)[0]) == columns
    assert list(rows_of(plain)[0].values()) == first
    assert gzip.decompress(packed) == plain
    assert gzip.decompress(packed_lines) == lines
    assert json.loads(lines.splitlines()[0]) == dict(zip(columns, [*first[:3], 2, first[4]], strict=True))
    sheet = [[cell.value for cell in row] for row in book["entries 1"].iter_rows()]
    assert sheet[:2] == [columns, [12.34, "USD", "owner", 2, first[4]]]
    assert len(sheet) == 3


async def test_nothing_is_a_file_too(api: ExportApi, open_worker: OpenWorker) -> None:
    assert rows_of(await api.made(open_worker)) == []
    assert await api.made(open_worker, format="jsonl") == b""
    assert gzip.decompress(await api.made(open_worker, format="jsonl", gzip=True)) == b""
    assert openpyxl.load_workbook(io.BytesIO(await api.made(open_worker, format="xlsx"))).sheetnames == ["entries 1"]


async def test_text_that_spreadsheets_would_carry_out_is_made_harmless(
    bench: ReadApi, api: ExportApi, open_worker: OpenWorker
) -> None:
    one, two = wallet_in(3), wallet_in(4)
    await bench.project(bench.stream.opened(one, owner="@one"), bench.stream.opened(two, owner="-two"))
    private = msgspec.structs.replace(PRIVATE, reference="=HYPERLINK(1)", description="+1")
    await bench.project(
        *bench.stream.deposit(one, 90, owner="@one"),
        *bench.stream.transfer(one, two, 20, owners=("@one", "-two"), private=private),
    )

    rows = await api.rows(open_worker, filters={"direction": "out"})

    (row,) = rows
    assert (row["owner_id"], row["counterparty_owner_id"]) == ("'@one", "'-two")
    assert (row["reference"], row["description"], row["amount"]) == ("'=HYPERLINK(1)", "'+1", "-0.20")


async def test_filters_narrow_entries(bench: ReadApi, api: ExportApi, open_worker: OpenWorker) -> None:
    one = await put_in(bench, [100, 200, 300], owner="alice")
    two = await put_in(bench, [400], shard=4, owner="bob")

    async def amounts(**filters: Any) -> list[str]:
        return sorted(row["amount"] for row in await api.rows(open_worker, filters=filters))

    assert await amounts(owner_id=["alice"]) == ["1.00", "2.00", "3.00"]
    assert await amounts(owner_id=["alice", "bob"], wallet_id=[two]) == ["4.00"]
    assert await amounts(wallet_id=[one, two], currency=["EUR"]) == []
    assert await amounts(currency=["USD"], amount_min="2.00", amount_max="3") == ["2.00", "3.00"]
    assert await amounts(direction="out") == []
    assert await amounts(type=["wallet.funds_deposited.v1"], transaction_type=["deposit"]) == await amounts()
    assert await amounts(**{"from": "2026-01-01T00:00:04Z", "to": "2026-01-01T00:00:06Z"}) == ["2.00"]
    assert await amounts(counterparty_wallet_id=[one]) == []


async def test_balances_are_those_of_the_position_that_was_looked_at(
    bench: ReadApi, api: ExportApi, open_worker: OpenWorker, pool: Pool
) -> None:
    wallet, gone = wallet_in(3), wallet_in(3)
    await bench.project(bench.stream.opened(wallet), bench.stream.opened(gone), *bench.stream.deposit(wallet, 500))
    export_id = await api.ask(dataset="balances")
    async with pool.connection() as connection:  # a worker has looked, and then died
        await connection.execute(
            """update history_jobs.job set parked = '{}',
                   as_of = array(select coalesce(max(last_seq), 0) from generate_series(0, 63) as s (shard)
                                 left join servicekit.checkpoint as c on c.shard = s.shard group by s.shard
                                 order by s.shard)"""
        )
    later = wallet_in(3)
    await bench.project(*bench.stream.deposit(wallet, 1), bench.stream.closed(gone), bench.stream.opened(later))
    async with open_worker():
        await api.ended(export_id)
        now = await api.rows(open_worker, dataset="balances")

    rows = {row["wallet_id"]: row for row in rows_of(await api.file(export_id))}
    assert rows.keys() == {str(wallet), str(gone)}
    assert {key: rows[str(wallet)][key] for key in ("balance_posted", "balance_held", "status", "version")} == {
        "balance_posted": "5.00",
        "balance_held": "0.00",
        "status": "open",
        "version": "2",
    }
    assert (rows[str(gone)]["status"], rows[str(gone)]["last_entry_at"]) == ("open", "")
    assert {row["wallet_id"]: (row["balance_posted"], row["status"]) for row in now} == {
        str(wallet): ("5.01", "open"),
        str(gone): ("0.00", "closed"),
        str(later): ("0.00", "open"),
    }


async def test_balances_and_state_changes_are_narrowed(bench: ReadApi, api: ExportApi, open_worker: OpenWorker) -> None:
    wallet, other = wallet_in(3), wallet_in(4)
    await bench.project(
        bench.stream.opened(wallet, owner="alice"), bench.stream.opened(other, owner="bob"), bench.stream.closed(other)
    )

    closed = await api.rows(open_worker, dataset="balances", filters={"status": ["closed"], "currency": ["USD"]})
    changes = await api.rows(open_worker, dataset="state_changes", filters={"owner_id": ["bob"]})
    of_type = await api.rows(open_worker, dataset="state_changes", filters={"type": ["wallet.closed.v1"]})

    assert [row["wallet_id"] for row in closed] == [str(other)]
    assert [(row["type"], row["version"]) for row in changes] == [("wallet.opened.v1", "1"), ("wallet.closed.v1", "2")]
    assert [row["wallet_id"] for row in of_type] == [str(other)]


async def test_holds_are_exported_and_are_no_entries(bench: ReadApi, api: ExportApi, open_worker: OpenWorker) -> None:
    wallet, payee = wallet_in(3), wallet_in(4)
    await bench.project(bench.stream.opened(wallet), bench.stream.opened(payee), *bench.stream.deposit(wallet, 500))
    placed, increased, *rest = bench.stream.held(wallet, payee, 10)
    await bench.project(placed, increased)

    (open_,) = await api.rows(open_worker, dataset="holds", filters={"wallet_id": [str(wallet)], "status": ["open"]})
    entries = await api.rows(open_worker, dataset="entries", filters={"wallet_id": [str(wallet)]})
    balances = await api.rows(open_worker, dataset="balances", filters={"wallet_id": [str(wallet)]})
    await bench.project(*rest)
    (ended,) = await api.rows(open_worker, dataset="holds")

    assert (open_["amount"], open_["remaining"], open_["currency"]) == ("0.11", "0.11", "USD")
    assert [row["type"] for row in entries] == ["wallet.funds_deposited.v1"]
    assert [(row["balance_held"], row["version"]) for row in balances] == [("0.11", "4")]
    assert (ended["status"], ended["captured"], ended["released"]) == ("voided", "0.01", "0.10")


async def test_transactions_are_exported_once_each(bench: ReadApi, api: ExportApi, open_worker: OpenWorker) -> None:
    one, two = wallet_in(3), wallet_in(4)
    await bench.project(bench.stream.opened(one, owner="alice"), bench.stream.opened(two, owner="bob"))
    await bench.project(*bench.stream.deposit(one, 900, owner="alice"))
    await bench.project(*bench.stream.transfer(one, two, 20, owners=("alice", "bob")))

    async def rows(**filters: Any) -> list[dict[str, str]]:
        return await api.rows(open_worker, dataset="transactions", filters=filters)

    every = await rows()
    transfer = every[1]
    assert [(row["type"], row["amount"], row["currency"]) for row in every] == [
        ("deposit", "9.00", "USD"),
        ("transfer", "0.20", "USD"),
    ]
    assert (transfer["status"], transfer["entry_count"], transfer["is_complete"]) == ("posted", "2", "true")
    assert (transfer["amounts"], transfer["refunded"]) == ('{"USD":"0.20"}', "")
    assert await rows(owner_id=["alice"]) == every
    assert await rows(owner_id=["alice", "bob"]) == every  # though both have a side of the transfer
    assert await rows(owner_id=["bob"]) == await rows(type=["transfer"]) == [transfer]
    assert await rows(status=["refunded"]) == await rows(currency=["EUR"]) == []
    assert await rows(**{"from": transfer["created_at"]}) == every
    assert await rows(to=transfer["created_at"]) == []


async def test_who_acts_for_an_owner_exports_its_transactions(
    bench: ReadApi, api: ExportApi, open_worker: OpenWorker
) -> None:
    await put_in(bench, [1], owner="alice")
    await put_in(bench, [2], shard=4, owner="bob")
    with bench.asked_by(principal_of("alice", acts_for=frozenset({"alice"}))):
        own = await api.rows(open_worker, dataset="transactions")
        others = await api.rows(open_worker, dataset="transactions", filters={"owner_id": ["bob"]})

    assert ([row["amount"] for row in own], others) == (["0.01"], [])


async def test_parked_wallets_are_left_out_and_named(
    bench: ReadApi, api: ExportApi, open_worker: OpenWorker, pool: Pool
) -> None:
    parked, kept = await put_in(bench, [1]), await put_in(bench, [2], shard=4)
    async with pool.connection() as connection:
        await connection.execute(
            """insert into servicekit.parked_subject (projection, subject, shard, seq, reason)
               values ('transaction_history', $1::text::uuid, 3, 9, 'test')""",
            parked,
        )
    export_id = await api.ask()
    async with open_worker():
        made = await api.ended(export_id)

    assert made["parked"] == {"count": 1, "wallet_ids": [parked]}
    assert [row["wallet_id"] for row in rows_of(await api.file(export_id))] == [kept]


async def test_who_acts_for_some_owners_exports_their_rows_and_finds_their_jobs(
    bench: ReadApi, api: ExportApi, open_worker: OpenWorker
) -> None:
    alices = await put_in(bench, [1], owner="alice")
    bobs = await put_in(bench, [2], shard=4, owner="bob")
    alice = principal_of("alice", acts_for=frozenset({"alice"}))
    whole = await api.ask()
    with bench.asked_by(alice):
        own = await api.ask(filters={"owner_id": ["alice", "bob"]})
        wallets = await api.ask(filters={"wallet_id": [alices, bobs]})
    async with open_worker():
        for export_id in (whole, own, wallets):
            assert (await api.ended(export_id))["status"] == "succeeded"

    assert len(rows_of(await api.file(whole))) == 2
    with bench.asked_by(alice):
        assert {row["wallet_id"] for row in rows_of(await api.file(own))} == {alices}
        assert {row["wallet_id"] for row in rows_of(await api.file(wallets))} == {alices}
        for path in (f"exports/{whole}", f"exports/{whole}/file", f"jobs/{whole}"):
            await bench.get(path, 404)
        assert (await api.send(f"{JOBS}/{whole}/cancel")).status_code == 404
        assert (await api.send(f"{EXPORTS}/{whole}/link", {"expires_in_s": 5})).status_code == 404
        listed = (await bench.get("jobs"))["data"]
        assert {job["id"] for job in listed} == {own, wallets}
    with bench.asked_by(principal_of("both", acts_for=frozenset({"alice", "bob"}))):
        assert {job["id"] for job in (await bench.get("jobs"))["data"]} == {own, wallets}
    with bench.asked_by(principal_of(tenant_id=new_id())):
        assert (await bench.get("jobs"))["data"] == []
        await bench.get(f"exports/{own}/file", 404)


async def test_jobs_are_listed_by_pages_and_narrowed(bench: ReadApi, api: ExportApi) -> None:
    asked = [await api.ask() for _ in range(3)]
    assert (await api.send(f"{JOBS}/{asked[0]}/cancel")).json()["status"] == "cancelled"

    first = await bench.get("jobs?limit=2")
    rest = await bench.get(f"jobs?limit=2&cursor={first['next_cursor']}")

    assert [job["id"] for job in [*first["data"], *rest["data"]]] == asked[::-1]
    assert [job["id"] for job in (await bench.get("jobs?status=cancelled&kind=export"))["data"]] == asked[:1]
    assert (await bench.get("jobs?kind=other", 400))["code"] == "invalid_query"
    assert (await bench.get(f"jobs?limit=2&status=queued&cursor={first['next_cursor']}", 400))[
        "code"
    ] == "invalid_cursor"


async def test_the_same_key_is_the_same_export_and_ends_once(bench: ReadApi, api: ExportApi) -> None:
    body, key = {"dataset": "entries", "format": "csv"}, new_id_text()

    first, again = await api.send(EXPORTS, body, key=key), await api.send(EXPORTS, body, key=key)
    other = await api.send(EXPORTS, {**body, "format": "jsonl"}, key=key)

    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert other.json()["code"] == "idempotency_key_reused"
    assert len((await bench.get("jobs"))["data"]) == 1


async def test_what_is_beyond_the_tenants_queue_is_refused(api: ExportApi) -> None:
    for _ in range(QUEUED_MAX):
        await api.ask()

    refused = await api.send(EXPORTS, {"dataset": "entries", "format": "csv"})

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_jobs")
    assert refused.headers["retry-after"] == "30"


@pytest.mark.parametrize(
    ("changed", "pointer", "code"),
    [
        ({"dataset": "secrets"}, "/dataset", "invalid_value"),
        ({"format": "pdf"}, "/format", "invalid_value"),
        ({"columns": ["amount", "nothing"]}, "/columns/1", "unknown_column"),
        ({"columns": ["amount", "amount"]}, "/columns/1", "contradiction"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone", "unknown_time_zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone", "unknown_time_zone"),
        ({"format": "xlsx", "gzip": True}, "/gzip", "contradiction"),
        ({"filters": {"shoe_size": ["9"]}}, "/filters/shoe_size", "unknown_field"),
        ({"filters": {"status": ["open"]}}, "/filters/status", "unknown_filter"),
        ({"dataset": "balances", "filters": {"from": "2026-01-01T00:00:00Z"}}, "/filters/from", "unknown_filter"),
        ({"filters": {"from": "2026-01-01T00:00:00"}}, "/filters/from", "invalid_value"),
        (
            {"filters": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-02T01:00:00+01:00"}},
            "/filters/to",
            "contradiction",
        ),
        ({"filters": {"wallet_id": ["x"]}}, "/filters/wallet_id/0", "invalid_id"),
        ({"filters": {"currency": ["XXZ"]}}, "/filters/currency/0", "unknown_currency"),
        ({"filters": {"amount_min": "1.00"}}, "/filters/amount_min", "contradiction"),
        ({"filters": {"amount_min": "1e2", "currency": ["USD"]}}, "/filters/amount_min", "invalid_amount"),
        ({"filters": {"amount_max": "1.001", "currency": ["USD"]}}, "/filters/amount_max", "too_many_decimals"),
        (
            {"filters": {"amount_min": "2", "amount_max": "1", "currency": ["USD"]}},
            "/filters/amount_max",
            "contradiction",
        ),
        ({"filters": {"type": ["a\0b"]}}, "/filters/type/0", "invalid_text"),
        ({"filters": {"owner_id": ["x"] * 101}}, "/filters/owner_id", "too_many"),
        ({"filters": {"owner_id": [""]}}, "/filters/owner_id/0", "too_short"),
        ({"rows": 5}, "/rows", "unknown_field"),
    ],
)
async def test_bad_input_is_told_and_makes_no_job(
    bench: ReadApi, api: ExportApi, changed: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await api.send(EXPORTS, {"dataset": "entries", "format": "csv", **changed})

    told = answer.json()
    assert (answer.status_code, told["code"]) == (422, "invalid_request"), told
    assert [(error["pointer"], error["code"]) for error in told["errors"]] == [(pointer, code)]
    assert (await bench.get("jobs"))["data"] == []


async def test_a_command_needs_a_key_and_a_scope(bench: ReadApi, api: ExportApi) -> None:
    body = {"dataset": "entries", "format": "csv"}
    without = await bench.client.post(EXPORTS, json=body)
    with bench.asked_by(principal_of(scopes=0)):
        refused = await api.send(EXPORTS, body)

    assert without.json()["code"] == "invalid_idempotency_key"
    assert refused.json()["required_scope"] == "history:export"
