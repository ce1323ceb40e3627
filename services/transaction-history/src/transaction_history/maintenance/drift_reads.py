"""What the ledger's tables have of a run of events: what `domain.drift` compares, by keys alone."""

from collections import defaultdict
from datetime import date
from typing import Any, Final, TypeVar
from uuid import UUID

from servicekit.postgres import Connection
from transaction_history.domain.drift import Stored, by_wallet
from transaction_history.domain.rows import (
    BalanceDayRow,
    EntryRow,
    HoldRow,
    StateChangeRow,
    SystemEntryRow,
    TransactionRow,
    WalletRow,
)
from transaction_history.domain.touched import Touched
from transaction_history.projection.columns import Row, row_of, selected, transaction_of
from transaction_history.projection.read_model_postgres import SCHEMA

R = TypeVar("R", bound=Row)

_ENTRY: Final = selected(EntryRow)
_CHANGE: Final = selected(StateChangeRow)
_DAY: Final = selected(BalanceDayRow)
_WINDOWS: Final = "unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as w (id, since, until)"
_WALLETS: Final = f"select {selected(WalletRow)} from {SCHEMA}.wallet where wallet_id = any ($1::uuid[])"
_ENTRIES: Final = f"""
    select {_ENTRY} from {_WINDOWS} cross join lateral (
        (select r.* from {SCHEMA}.entry r where r.wallet_id = w.id and r.occurred_at < w.since
         order by r.occurred_at desc, r.version desc limit 1)
        union all
        select r.* from {SCHEMA}.entry r where r.wallet_id = w.id and r.occurred_at between w.since and w.until
    ) as found order by version"""
_CHANGES: Final = f"""
    select {_CHANGE} from {_WINDOWS} join {SCHEMA}.state_change r
        on r.wallet_id = w.id and r.occurred_at between w.since and w.until
    order by version"""
_NEWEST: Final = """
    select {columns} from unnest($1::uuid[]) as w (id) cross join lateral (
        select r.* from {table} r where r.wallet_id = w.id order by r.occurred_at desc, r.version desc limit 1
    ) as found"""
_LATER: Final = f"""
    select r.wallet_id, array_agg(distinct r.type) as types
    from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) as w (id, until, version)
    join {SCHEMA}.state_change r on r.wallet_id = w.id and r.occurred_at >= w.until and r.version > w.version
    group by r.wallet_id"""
_HOLDS: Final = f"""
    select {selected(HoldRow)} from {SCHEMA}.hold join unnest($1::uuid[], $2::uuid[]) as k (id, hold)
        on wallet_id = k.id and hold_id = k.hold"""
_AS_OF: Final = f"""
    select {_ENTRY} from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) as h (id, at, wanted)
    join {SCHEMA}.entry on wallet_id = h.id and occurred_at = h.at and version = h.wanted"""
_TRANSACTIONS: Final = f"select {selected(TransactionRow)} from {SCHEMA}.transaction where transaction_id = any ($1)"
_TOLD: Final = "select {columns} from {table} where transaction_id = any ($1::uuid[])"
_DAYS: Final = f"""
    select {_DAY} from unnest($1::uuid[], $2::date[], $3::date[]) as w (id, since, until)
    join {SCHEMA}.balance_day r on r.wallet_id = w.id and r.day between w.since and w.until"""
_DAY_ENDS: Final = f"""
    select {_ENTRY} from unnest($1::uuid[], $2::date[]) as d (id, ended) cross join lateral (
        select r.* from {SCHEMA}.entry r
        where r.wallet_id = d.id and r.occurred_at >= d.ended::timestamp at time zone 'UTC'
          and r.occurred_at < (d.ended + 1)::timestamp at time zone 'UTC'
        order by r.occurred_at desc, r.version desc limit 1
    ) as found"""


async def read_stored(connection: Connection, touched: Touched) -> Stored:
    """Return what is stored of *touched*; *connection* is in a transaction that sees one instant."""
    ids = list(touched.windows)
    windows = (ids, *_columns([(each.since, each.until) for each in touched.windows.values()], 2))
    holds = await _holds(connection, touched)
    transactions = await stored_transactions(connection, touched.transactions)
    telling = set(touched.transactions)
    telling.update(each for row in transactions.values() for each in row.refunds)
    telling.update(each for row in holds.values() for each in row.transactions)
    changed = [
        (wallet_id, touched.windows[wallet_id].until, max(touched.windows[wallet_id].versions))
        for wallet_id in touched.changed
    ]
    entries = await _rows(connection, EntryRow, _ENTRIES, *windows)
    as_of = [(row.wallet_id, row.last_at, row.version) for row in holds.values()]
    newest = {
        kind: await _rows(connection, kind, _NEWEST.format(columns=selected(kind), table=f"{SCHEMA}.{table}"), ids)
        for kind, table in ((EntryRow, "entry"), (StateChangeRow, "state_change"))
    }
    return Stored(
        wallets={row.wallet_id: row for row in await _rows(connection, WalletRow, _WALLETS, ids)},
        entries=by_wallet(entries),
        state_changes=by_wallet(await _rows(connection, StateChangeRow, _CHANGES, *windows)),
        newest_entry={row.wallet_id: row for row in newest[EntryRow] if isinstance(row, EntryRow)},
        newest_change={row.wallet_id: row for row in newest[StateChangeRow] if isinstance(row, StateChangeRow)},
        later={row["wallet_id"]: row["types"] for row in await connection.fetch(_LATER, *_columns(changed, 3))},
        told=await told_of(connection, telling),
        transactions=transactions,
        holds=holds,
        hold_entries={
            (row.wallet_id, row.version): row for row in await _rows(connection, EntryRow, _AS_OF, *_columns(as_of, 3))
        },
        days=await _days(connection, touched),
        day_ends=await _rows(connection, EntryRow, _DAY_ENDS, *_columns(list(touched.days), 2)),
    )


async def stored_transactions(connection: Connection, ids: set[UUID]) -> dict[UUID, TransactionRow]:
    """Return those of *ids* that are stored."""
    return {row["transaction_id"]: transaction_of(row) for row in await connection.fetch(_TRANSACTIONS, list(ids))}


async def told_of(connection: Connection, ids: set[UUID]) -> list[EntryRow | SystemEntryRow]:
    """Return every entry of the transactions *ids*."""
    of_wallets = _TOLD.format(columns=_ENTRY, table=f"{SCHEMA}.entry")
    of_accounts = _TOLD.format(columns=selected(SystemEntryRow), table=f"{SCHEMA}.system_entry")
    return [
        *await _rows(connection, EntryRow, of_wallets, list(ids)),
        *await _rows(connection, SystemEntryRow, of_accounts, list(ids)),
    ]


async def _holds(connection: Connection, touched: Touched) -> dict[tuple[UUID, UUID], HoldRow]:
    rows = await _rows(connection, HoldRow, _HOLDS, *_columns(list(touched.holds), 2))
    return {(row.wallet_id, row.hold_id): row for row in rows}


async def _days(connection: Connection, touched: Touched) -> dict[UUID, list[BalanceDayRow]]:
    days: defaultdict[UUID, list[date]] = defaultdict(list)
    for wallet_id, day in touched.days:
        days[wallet_id].append(day)
    spans = [(wallet_id, min(each), max(each)) for wallet_id, each in days.items()]
    return by_wallet(await _rows(connection, BalanceDayRow, _DAYS, *_columns(spans, 3)))


async def _rows(connection: Connection, row: type[R], statement: str, *arguments: Any) -> list[R]:
    return [row_of(row, record) for record in await connection.fetch(statement, *arguments)]


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Return *rows* of *width* values as a statement unnests them."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
