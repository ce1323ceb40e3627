"""That no column of any table can be wrong without being named; and what is kept of the index's counters. No I/O."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from contracts import events
from contracts.envelope import Envelope
from contracts.events import parse_data
from contracts.ids import new_id
from testkit.events import Stream, wallet_in
from transaction_history.domain.drift import Stored, by_wallet, differences
from transaction_history.domain.folds import Rows, fold
from transaction_history.domain.index_drift import Totals
from transaction_history.domain.index_rows import IndexRows, WalletHour
from transaction_history.domain.touched import Parsed

OURS, THEIRS, OTHER = wallet_in(3), wallet_in(4), new_id()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def life() -> list[Parsed]:
    """Return what makes rows in every table, and a value in every column that can have one."""
    stream = Stream()
    told: list[Envelope] = [stream.opened(OURS), stream.opened(THEIRS), *stream.deposit(OURS, 1_000)]
    told += [*stream.transfer(OURS, THEIRS, 30), *stream.held(OURS, THEIRS), stream.fee(OURS, 2)]
    paid, refund, reversal = told[4].transaction_id, new_id(), new_id()
    assert paid is not None
    told += [
        stream.returned(events.REFUND_SENT, THEIRS, -5, of=paid, entry=(refund, 0), refund=(5, 30)),
        stream.returned(events.REFUND_RECEIVED, OURS, 5, of=paid, entry=(refund, 1)),
        stream.returned(events.TRANSACTION_REVERSED, OURS, -1, of=paid, entry=(reversal, 0), refund=(1, 30)),
        stream.restricted(OURS),
        *stream.terms(OURS),
    ]
    return [(event, parse_data(event.type, event.data)) for event in told]


LIFE = life()
ROWS = fold(LIFE, {})
TABLES: dict[str, list[Any]] = {
    "wallet": ROWS.wallets,
    "entry": ROWS.entries,
    "system_entry": ROWS.system_entries,
    "state_change": ROWS.state_changes,
    "transaction": ROWS.transactions,
    "hold": ROWS.holds,
    "balance_day": ROWS.balance_days,
}


def stored_of(tables: dict[str, list[Any]]) -> Stored:
    """Return what reading *tables* gives for all of LIFE."""
    entries = sorted(tables["entry"], key=lambda row: (row.occurred_at, row.version))
    changes = sorted(tables["state_change"], key=lambda row: (row.occurred_at, row.version))
    days = Rows()
    for row in entries:
        days.add(row)
    ends = {(row.wallet_id, row.version) for row in days.balance_days}
    return Stored(
        wallets={row.wallet_id: row for row in tables["wallet"]},
        entries=by_wallet(sorted(known(entries), key=lambda row: row.version)),
        state_changes=by_wallet(sorted(known(changes), key=lambda row: row.version)),
        newest_entry={row.wallet_id: row for row in entries},
        newest_change={row.wallet_id: row for row in changes},
        later={},
        told=[row for row in (*entries, *tables["system_entry"]) if row.transaction_id is not None],
        transactions={row.transaction_id: row for row in tables["transaction"]},
        holds={(row.wallet_id, row.hold_id): row for row in tables["hold"]},
        hold_entries={
            (row.wallet_id, hold.version): row
            for hold in tables["hold"]
            for row in entries
            if (row.wallet_id, row.occurred_at, row.version) == (hold.wallet_id, hold.last_at, hold.version)
        },
        days=by_wallet(known(tables["balance_day"])),
        day_ends=[row for row in entries if (row.wallet_id, row.version) in ends],
    )


def known(rows: Iterable[Any]) -> list[Any]:
    """Return the rows of the wallets that are asked about."""
    return [row for row in rows if row.wallet_id in {OURS, THEIRS}]


CHANGES: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: not value,
    int: lambda value: value + 1,
    str: lambda value: f"{value}x",
    datetime: lambda value: value + timedelta(milliseconds=1),
    date: lambda value: value + timedelta(days=1),
    UUID: lambda _: OTHER,
    tuple: lambda value: (*value, OTHER),
    dict: lambda value: {**value, "XXX": 1},
}
"""By its type, what could stand in a column instead of a value."""


def other_than(value: Any, column: str) -> Any:
    """Return something else that could stand in *column*."""
    if value is not None:
        return CHANGES[type(value)](value)
    return OTHER if column.endswith("_id") else 7 if column.endswith(("_minor", "_index", "_count")) else "there"


def test_nothing_is_named_where_nothing_is_wrong() -> None:
    assert differences(LIFE, stored_of(TABLES)) == []


@pytest.mark.parametrize("table", TABLES)
def test_a_wrong_value_is_named_in_its_table_whichever_it_is(table: str) -> None:
    unseen = []
    for place, row in enumerate(TABLES[table]):
        for column in type(row).__struct_fields__:
            value = getattr(row, column)
            wrong = msgspec.structs.replace(row, **{column: other_than(value, column)})
            rows = [*TABLES[table][:place], wrong, *TABLES[table][place + 1 :]]
            found = differences(LIFE, stored_of({**TABLES, table: rows}))
            if table not in {each.table for each in found}:
                unseen.append((place, column, value))
    assert unseen == []


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_row_is_named_whichever_it_is(table: str) -> None:
    for place in range(len(TABLES[table])):
        rows = [row for other, row in enumerate(TABLES[table]) if other != place]

        found = differences(LIFE, stored_of({**TABLES, table: rows}))

        assert (table, "(missing)") in {(each.table, each.column) for each in found}


def test_where_there_are_too_many_wallets_turns_share_them() -> None:
    wallets = [UUID(int=(wallet_in(3).int & ~0xFFFFF) | number << 6 | 3) for number in range(64)]
    kept: list[UUID] = []
    for turn in range(4):
        totals = Totals(turn, keys_max=24)
        for wallet in wallets:
            row = WalletHour(shard=3, tenant_id=OTHER, owner_id="ann", currency="USD", entries=1)
            totals.add(IndexRows(hours={(wallet, NOON): row}))
            totals.add(IndexRows(hours={(wallet, NOON): msgspec.structs.replace(row)}))
        assert len(totals.wallets) <= 24
        assert {each.entries for each in totals.counters.hours.values()} == {2}
        kept += totals.wallets
    assert set(kept) == set(wallets)
