"""The API over real tables: what a client sees, and what it is refused."""

import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import msgspec
import pytest

from contracts import events
from contracts.envelope import Envelope
from contracts.event_types import EventType
from contracts.events import WalletClosed
from contracts.ids import new_id
from servicekit.postgres import Pool
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.read_api import ReadApi
from testkit.waiting import eventually
from transaction_history.entrypoints.bodies import LegBody, TransactionBody

pytestmark = pytest.mark.integration

_UNKNOWN = EventType(99, "wallet.unheard_of.v1", WalletClosed)


async def opened(bench: ReadApi, *shards: int) -> list[UUID]:
    wallets = [wallet_in(shard) for shard in shards]
    await bench.project(*[bench.stream.opened(wallet) for wallet in wallets])
    return wallets


async def test_an_entry_tells_all_there_is(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)
    entry, system_entry = bench.stream.deposit(wallet, 1_234)
    await bench.project(entry, system_entry)

    page = await bench.get(f"wallets/{wallet}/entries")

    assert page == {
        "data": [
            {
                "id": str(entry.event_id),
                "wallet_id": str(wallet),
                "owner_id": "owner",
                "version": 2,
                "type": "wallet.funds_deposited.v1",
                "transaction_id": str(entry.transaction_id),
                "transaction_type": "deposit",
                "entry_index": 0,
                "entry_count": 2,
                "amount": {"amount": "12.34", "currency": "USD"},
                "balance": {
                    "posted": {"amount": "12.34", "currency": "USD"},
                    "held": {"amount": "0.00", "currency": "USD"},
                    "available": {"amount": "12.34", "currency": "USD"},
                },
                "counterparty": {"wallet_id": None, "owner_id": None, "system_account": "external:USD"},
                "reference": "order-1",
                "description": "A thing",
                "metadata": {"shop": "north"},
                "destination": None,
                "related_transaction_id": None,
                "hold_id": None,
                "fee_rule": None,
                "is_forced": False,
                "occurred_at": "2026-01-01T00:00:02.000000Z",
            }
        ],
        "next_cursor": None,
        "prev_cursor": None,
        "searched_to": None,
        "total": None,
        "parked": {"count": 0, "wallet_ids": []},
    }


async def pages(bench: ReadApi, path: str, limit: int) -> list[list[str]]:
    """Return the ids on each page of a list."""
    found, cursor = [], ""
    while True:
        page = await bench.get(f"{path}?limit={limit}{cursor}")
        found.append([entry["id"] for entry in page["data"]])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def ids(events: Sequence[Envelope]) -> list[str]:
    return [str(event.event_id) for event in events]


async def test_a_wallets_entries_come_newest_first_page_by_page(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)
    deposits = [bench.stream.deposited(wallet) for _ in range(7)]
    await bench.project(*deposits)

    found = await pages(bench, f"wallets/{wallet}/entries", limit=3)

    assert [len(page) for page in found] == [3, 3, 1]
    assert [entry for page in found for entry in page] == ids(deposits[::-1])


async def test_an_owners_entries_join_all_wallets_newest_first(bench: ReadApi) -> None:
    one, two = await opened(bench, 3, 4)
    deposits = [bench.stream.deposited(wallet) for wallet in (one, two, one, one, two, two)]
    await bench.project(*deposits)

    found = await pages(bench, "owners/owner/entries", limit=4)

    newest_first = sorted(deposits, key=lambda event: (event.time, event.event_id), reverse=True)
    assert [entry for page in found for entry in page] == ids(newest_first)
    assert (await bench.get("owners/nobody/entries"))["data"] == []


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


async def test_a_transaction_is_incomplete_until_its_last_entry_has_come(bench: ReadApi) -> None:
    one, two = await opened(bench, 3, 4)
    await bench.project(bench.stream.deposited(one))
    sent, received = bench.stream.transfer(one, two, 30)

    await bench.project(received)
    first = await bench.get(f"transactions/{sent.transaction_id}")
    await bench.project(sent)
    second = await bench.get(f"transactions/{sent.transaction_id}")

    assert (first["complete"], second["complete"]) == (False, True)
    assert first["amount"] == second["amount"] == {"amount": "0.30", "currency": "USD"}
    assert [entry["wallet_id"] for entry in second["entries"]] == [str(one), str(two)]
    assert [entry["amount"]["amount"] for entry in second["entries"]] == ["-0.30", "0.30"]


@pytest.mark.parametrize("last", ["refund", "reversal"])
async def test_what_was_refunded_is_added_up_in_whatever_order_it_comes(bench: ReadApi, last: str) -> None:
    one, two = await opened(bench, 3, 4)
    await bench.project(bench.stream.deposited(one))
    sent, received = bench.stream.transfer(one, two, 30)
    transfer = sent.transaction_id
    assert transfer is not None
    ids = [new_id() for _ in range(2)]
    kinds = (events.REFUND_RECEIVED, events.REFUND_RECEIVED if last == "refund" else events.TRANSACTION_REVERSED)
    back = [
        bench.stream.returned(kind, one, minor, of=transfer, entry=(each, 0), refund=(minor, 30))
        for kind, minor, each in zip(kinds, (10, 20), ids, strict=True)
    ]
    forced = bench.stream.returned(events.REFUND_SENT, two, -10, of=transfer, entry=(ids[0], 1), forced=True)

    await bench.project(sent, back[0])
    first = await bench.get(f"transactions/{transfer}")
    await bench.project(back[1], received, forced)
    second = await bench.get(f"transactions/{transfer}")
    refund = await bench.get(f"transactions/{ids[0]}")

    assert (first["status"], first["refunded"], first["refunds"]) == ("partially_refunded", usd("0.10"), [str(ids[0])])
    status = "refunded" if last == "refund" else "reversed"
    assert (second["status"], second["refunded"]) == (status, usd("0.30"))
    assert second["refunds"] == [str(each) for each in ids]
    assert (refund["status"], refund["related_transaction_id"]) == ("posted", str(transfer))
    (newest, *_) = (await bench.get(f"wallets/{two}/entries"))["data"]
    assert (newest["related_transaction_id"], newest["is_forced"]) == (str(transfer), True)


async def test_a_deposit_shows_the_system_accounts_entry(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)
    entry, system_entry = bench.stream.deposit(wallet, 500)
    await bench.project(entry, system_entry)

    found = await bench.get(f"transactions/{entry.transaction_id}")

    assert found["complete"]
    assert [entry["system_account"] for entry in found["entries"]] == [None, "external:USD"]


async def test_a_balance_in_the_past_is_that_of_the_last_entry_until_then(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)  # at second 1
    await bench.project(bench.stream.deposited(wallet, 100), bench.stream.deposited(wallet, 50))

    async def balance(second: str) -> tuple[str, int]:
        found = await bench.get(f"wallets/{wallet}/balance?at=2026-01-01T00:00:{second}Z")
        return found["balance"]["posted"]["amount"], found["version"]

    assert await balance("01.5") == ("0.00", 0)
    assert await balance("02") == ("1.00", 2)
    assert await balance("59") == ("1.50", 3)
    assert await balance("02.000000000") == ("1.00", 2)


async def test_before_its_opening_a_wallet_has_no_balance(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)

    problem = await bench.get(f"wallets/{wallet}/balance?at=2026-01-01T00:00:00Z", status=404)

    assert (problem["code"], problem["opened_at"]) == ("wallet_not_open_yet", "2026-01-01T00:00:01.000000Z")


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("", "RFC 3339"),
        ("2026-01-01T00:00:00", "RFC 3339"),
        ("2026-W01-1T00:00:00Z", "RFC 3339"),
        ("20260101T000000Z", "RFC 3339"),
        ("2026-01-01T01:00:00+01:00", "%2B"),
        ("0001-01-01T00:00:00%2B14:00", "no such instant"),
    ],
)
async def test_what_is_no_instant_is_told_why(bench: ReadApi, at: str, said: str) -> None:
    (wallet,) = await opened(bench, 3)

    problem = await bench.get(f"wallets/{wallet}/balance?at={at}", status=400)

    (error,) = problem["errors"]
    assert (problem["code"], error["pointer"], error["code"]) == ("invalid_query", "/at", "invalid_value")
    assert said in error["detail"]


async def test_an_instant_may_be_written_in_small_letters(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)

    assert (await bench.get(f"wallets/{wallet}/balance?at=2026-01-01t00:00:01z"))["version"] == 0


OWNERS = [
    *(
        "acct/1",
        "/",
        "//",
        "a/entries",
        "%",
        "%2F",
        "100%25",
        "a b",
        " ",
        "+",
        "a+b",
        "é",
        "\u4e2d\u6587",
        "\U0001f600",
    ),
    *(".", "..", "a/../b", "a\n", "\n", "\r\n", "?", "#", "a?b=c&d", "\\", "\x7f", "\x01", '"', "x" * 100, "é" * 100),
]


@pytest.mark.parametrize("owner", OWNERS)
async def test_whatever_an_owners_id_holds_its_entries_can_be_asked_for(bench: ReadApi, owner: str) -> None:
    wallet, other = wallet_in(3), wallet_in(4)
    await bench.project(bench.stream.opened(wallet, owner=owner), bench.stream.opened(other, owner="other"))
    await bench.project(bench.stream.deposited(wallet), bench.stream.deposited(wallet), bench.stream.deposited(other))
    segment = quote(owner, safe="").replace(".", "%2E")

    async def every(path: str) -> list[str]:
        first = await bench.get(f"{path}limit=1")
        second = await bench.get(f"{path}limit=1&cursor={first['next_cursor']}")
        assert second["next_cursor"] is None
        return [entry["wallet_id"] for page in (first, second) for entry in page["data"]]

    assert await every(f"entries?owner_id={quote(owner, safe='')}&") == [str(wallet)] * 2
    if owner not in {".", ".."}:  # the client of this test takes them out of a path, as many do
        assert await every(f"owners/{segment}/entries?") == [str(wallet)] * 2


def test_a_transaction_has_the_members_that_the_wallet_answers() -> None:
    document = json.loads((Path(__file__).parents[3] / "docs/openapi/wallet.json").read_text(encoding="utf-8"))
    schemas = document["components"]["schemas"]

    assert set(schemas["TransactionBody"]["properties"]) <= set(TransactionBody.model_fields)
    assert set(schemas["EntryBody"]["properties"]) <= set(LegBody.model_fields)


async def test_a_transaction_tells_its_amount_and_where_it_goes(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)
    await bench.project(bench.stream.deposited(wallet, 1_234))
    entry, system_entry = bench.stream.deposit(wallet, 1_234)
    data = json.loads(entry.data)
    data["private"] = {**data["private"], "destination": "bank 7", "metadata": {}}
    await bench.project(msgspec.structs.replace(entry, data=json.dumps(data).encode()), system_entry)
    found = await bench.get(f"transactions/{entry.transaction_id}")

    assert found["amount"] == {"amount": "12.34", "currency": "USD"}
    assert found["refunded"] == {"amount": "0.00", "currency": "USD"}
    assert (found["destination"], found["metadata"]) == ("bank 7", {})


async def test_an_answer_tells_its_position_and_its_lag(bench: ReadApi) -> None:
    one, two = await opened(bench, 3, 40)
    await bench.project(bench.stream.deposited(one), bench.stream.deposited(two))

    answer = await bench.client.get(f"/v1/history/wallets/{one}/entries", headers={"Min-Position": "40-2"})
    owners = await bench.client.get("/v1/history/owners/owner/entries")

    assert (answer.headers["ledger-position"], answer.headers["projection-lag-ms"]) == ("3-2, 40-2", "0")
    assert owners.headers["ledger-position"] == "3-2, 40-2"


async def test_a_position_that_does_not_come_is_told(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)

    answer = await bench.client.get(f"/v1/history/wallets/{wallet}/entries", headers={"Min-Position": "3-99"})

    assert (answer.status_code, answer.json()["code"]) == (409, "position_not_reached")
    assert answer.headers["retry-after"] == "1"


async def test_what_touches_a_parked_wallet_says_so(bench: ReadApi) -> None:
    one, two = await opened(bench, 3, 4)
    await bench.project(bench.stream.deposited(one))
    sent, received = bench.stream.transfer(one, two)
    bad = bench.stream.event(_UNKNOWN, two, b"{}")
    await bench.project(sent, received, bad)

    for path in (f"wallets/{two}/entries", "owners/owner/entries", f"transactions/{sent.transaction_id}"):
        answer = await bench.client.get(f"/v1/history/{path}")
        assert (answer.status_code, answer.json()["code"]) == (503, "wallet_parked")
        assert "retry-after" in answer.headers
    await bench.get(f"wallets/{one}/entries")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("wallets/0190f3c0-0000-7000-8000-000000000001/entries", 404, "wallet_not_found"),
        ("wallets/nonsense/entries", 404, "wallet_not_found"),
        ("transactions/0190f3c0-0000-7000-8000-000000000002", 404, "transaction_not_found"),
        ("transactions/nonsense", 404, "transaction_not_found"),
        ("nonsense", 404, "not_found"),
        ("owners/owner/entries?limit=0", 400, "invalid_query"),
        ("owners/owner/entries?limit=201", 400, "invalid_query"),
        ("owners/owner/entries?order=up", 400, "invalid_query"),
        ("owners/owner/entries?cursor=nonsense", 400, "invalid_cursor"),
        ("owners/" + "x" * 101 + "/entries", 404, "not_found"),
        ("owners/%00/entries", 404, "not_found"),
    ],
)
async def test_what_is_not_there_or_not_asked_right_is_refused(
    bench: ReadApi, path: str, status: int, code: str
) -> None:
    assert (await bench.get(path, status=status))["code"] == code


async def test_a_cursor_belongs_to_its_query(bench: ReadApi) -> None:
    one, two = await opened(bench, 3, 4)
    await bench.project(*[bench.stream.deposited(one) for _ in range(3)])
    cursor = (await bench.get(f"wallets/{one}/entries?limit=1"))["next_cursor"]

    assert (await bench.get(f"wallets/{two}/entries?cursor={cursor}", status=400))["code"] == "invalid_cursor"


async def test_another_tenants_rows_are_not_there(bench: ReadApi) -> None:
    (wallet,) = await opened(bench, 3)
    entry, system_entry = bench.stream.deposit(wallet)
    await bench.project(entry, system_entry)

    with bench.asked_by(principal_of(tenant_id=new_id())):
        for path in (f"wallets/{wallet}/entries", f"transactions/{entry.transaction_id}"):
            await bench.get(path, 404)
        owners = await bench.get("owners/owner/entries")

    assert owners["data"] == []


async def test_a_transaction_is_found_without_its_tenants_other_entries(
    open_bench: Callable[[], AbstractAsyncContextManager[ReadApi]], pool: Pool
) -> None:
    """Nobody has analysed the tables yet: a planner that knows nothing of them must not turn to the wrong index."""
    async with open_bench() as bench:
        (wallet,) = await opened(bench, 3)
        deposits = [bench.stream.deposit(wallet, 1) for _ in range(2_000)]
        await bench.project(*itertools.chain.from_iterable(deposits))
        for entry, _ in deposits[:5]:
            await bench.get(f"transactions/{entry.transaction_id}")

    async def rows_read(index: str) -> int:
        async with pool.connection() as connection:
            query = """
                select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_user_indexes
                where indexrelname ~ ('^entry_[0-9_]+_' || $1)"""
            read: int = await connection.fetchval(query, index)
            return read

    async def is_told() -> bool:  # by the sessions of the API as they end
        return await rows_read("transaction_id_occurred_at") >= 5

    await eventually(is_told)
    assert await rows_read("tenant_id_owner_id") == 0
