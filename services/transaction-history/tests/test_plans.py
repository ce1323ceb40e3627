"""How the database finds what each list and answer says: by an index, and no more rows than a bound.

The tables are filled beyond every bound by copies of a few true rows; then each question's statements are explained as
they are carried out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import asyncpg
import pytest

from servicekit.conditions import Where
from servicekit.postgres import Pool
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.read_api import ReadApi
from transaction_history.reads.listing import LOOKED_AT_MAX
from transaction_history.reads.view import View

pytestmark = pytest.mark.integration

COPIES: Final = 5_000
"""Of one wallet's entries, of transactions and of wallets: more than twice what a page is looked for among."""
ROWS_MAX: Final = LOOKED_AT_MAX + 1
TABLES: Final = ("entry", "transaction", "wallet", "state_change", "hold", "day_total", "counterparty", "wallet_hour")
_MORE_ENTRIES: Final = """
    insert into transaction_history.entry
    select (jsonb_populate_record(e, jsonb_build_object('version', 100 + n, 'event_id', uuidv7(),
            'transaction_id', uuidv7(), 'occurred_at', e.occurred_at + n * interval '1 min'))).*
    from transaction_history.entry as e, generate_series(1, $1) as n
    where e.wallet_id = $2 and e.version = 2"""
_MORE_WALLETS: Final = """
    insert into transaction_history.wallet
    select (jsonb_populate_record(w, jsonb_build_object('wallet_id', uuidv7(), 'owner_id', 'owner-' || n,
            'opened_at', w.opened_at + n * interval '1 min'))).*
    from transaction_history.wallet as w, generate_series(1, $1) as n where w.wallet_id = $2"""
_MORE_TRANSACTIONS: Final = """
    insert into transaction_history.transaction (transaction_id, tenant_id, type, entry_count, entries_seen, amounts,
        created_at, last_entry_at, refunds, refunded_minor, refundable_minor, refund_currency)
    select uuidv7(), t.tenant_id, t.type, t.entry_count, t.entries_seen, t.amounts, t.created_at + n * interval '1 min',
        t.last_entry_at + n * interval '1 min', t.refunds, t.refunded_minor, t.refundable_minor, t.refund_currency
    from (select * from transaction_history.transaction limit 1) as t, generate_series(1, $1) as n"""
_LAST: Final = """
    update transaction_history.wallet as w
    set last_entry_at = e.occurred_at, last_at = e.occurred_at, version = e.version
    from (select * from transaction_history.entry order by version desc limit 1) as e where w.wallet_id = e.wallet_id"""
PATHS: Final = (
    "wallets/{wallet}/entries",
    "wallets/{wallet}/entries?order=oldest",
    "wallets/{wallet}/entries?from=2026-01-03T00:00:00Z&to=2026-01-04T00:00:00Z",
    "owners/{owner}/entries",
    "owners/{owner}/entries?order=oldest",
    "entries",
    "entries?order=oldest&limit=200",
    "transactions",
    "transactions?type=refund",
    "transactions?order=oldest&currency=USD&amount_min=5.00",
    "wallets",
    "wallets?status=closed",
    "wallets?owner_id={owner}",
    "wallets/{wallet}",
    "wallets/{wallet}/holds",
    "wallets/{wallet}/state-changes",
    "wallets/{wallet}/counterparties",
    "wallets/{wallet}/balance?at=2026-01-03T00:00:00Z",
    "wallets/{wallet}/balance?version=3000",
    "wallets/{wallet}/balance?date=2026-01-03&time_zone=Europe/Berlin",
    "wallets/{wallet}/balance-series?from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:00Z&bucket=day&time_zone=UTC",
    "owners/{owner}/balance-series?from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:00Z&bucket=day&time_zone=UTC",
    "owners/{owner}/balances",
    "totals?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z",
)


@pytest.fixture
async def names(bench: ReadApi, index: Any, database: Database) -> Mapping[str, str]:
    """Have a wallet with more entries than any page looks among, beside as many wallets and transactions."""
    wallet, other, stream = wallet_in(3), wallet_in(4), bench.stream
    await index(stream.opened(wallet, owner="ann"), stream.opened(other, owner="bob"))
    await index(*stream.deposit(wallet, 500, owner="ann"), *stream.deposit(other, 500, owner="bob"))
    admin = await asyncpg.connect(database.dsn_admin)
    await admin.execute(_MORE_ENTRIES, COPIES, wallet)
    await admin.execute(_MORE_WALLETS, COPIES, other)
    await admin.execute(_MORE_TRANSACTIONS, COPIES)
    await admin.execute(_LAST)
    await admin.execute("vacuum analyze")
    await admin.close()
    return {"wallet": str(wallet), "owner": "ann"}


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """Give the plans of the statements that answers fetch, as they were carried out."""
    found: list[Mapping[str, Any]] = []

    async def fetch(view: View, query: str, asked: Where) -> list[asyncpg.Record]:
        explained = await view.connection.fetchval(f"explain (analyze, format json) {query}", *asked.values)
        found.append(json.loads(explained)[0]["Plan"])
        return list(await view.connection.fetch(query, *asked.values))

    monkeypatch.setattr(View, "fetch", fetch)
    return found


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def beyond(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of *plan* reads or sorts more than a page may look among, or reads a whole table."""
    for node in nodes(plan):
        kind, loops = node["Node Type"], node["Actual Loops"]
        rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * loops
        table = node.get("Relation Name", "")
        if rows > ROWS_MAX and (kind == "Sort" or "Scan" in kind):
            yield f"{kind} of {rows:.0f} rows {table}"
        if kind == "Seq Scan" and rows > 1 and table.startswith(TABLES):
            yield f"{kind} of {table}"


async def test_no_answer_reads_or_sorts_beyond_its_bound(
    bench: ReadApi, names: Mapping[str, str], plans: list[Mapping[str, Any]], pool: Pool, database: Database
) -> None:
    findings: dict[str, list[str]] = {}
    for path in PATHS:
        plans.clear()
        await bench.get(path.format(**names))
        assert plans, path
        findings[path] = [finding for plan in plans for finding in beyond(plan)]
    async with pool.connection() as connection:
        counted = await connection.fetchval("select count(*) from transaction_history.entry")

    assert {path: found for path, found in findings.items() if found} == {}
    assert counted > 2 * ROWS_MAX
    await _see_a_lost_index(bench, plans, database)


async def _see_a_lost_index(bench: ReadApi, plans: list[Mapping[str, Any]], database: Database) -> None:
    """See that the plans tell where an index is not there: else nothing above says anything."""
    admin = await asyncpg.connect(database.dsn_admin)
    await admin.execute("drop index transaction_history.entry_by_time")
    await admin.close()
    plans.clear()
    await bench.get("entries")

    assert [finding for plan in plans for finding in beyond(plan)]
