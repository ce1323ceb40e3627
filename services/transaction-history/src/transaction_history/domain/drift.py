"""What the tables have beside what the events say they must have. Pure.

An event is told from the stored row before it: an entry's running totals continue those of that row, as it stands. So
a wrong row is named where it is, and where the next one does not continue it, and not all the way behind.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from contracts.envelope import Envelope
from contracts.events import (
    CLOSED,
    DETAILS_CHANGED,
    HOLD_CAPTURED,
    HOLD_PLACED,
    OVERDRAFT_CHANGED,
    RESTRICTED,
    UNRESTRICTED,
    EntryPosted,
    EventData,
    HoldCaptured,
    OwnerChanged,
    PolicyChanged,
    SystemEntryPosted,
    WalletOpened,
)
from contracts.money import parse_signed_minor
from transaction_history.domain.folds import Rows
from transaction_history.domain.project import Contradiction, WalletData, project
from transaction_history.domain.rows import (
    BalanceDayRow,
    EntryRow,
    HoldRow,
    StateChangeRow,
    SystemEntryRow,
    TransactionRow,
    WalletRow,
)
from transaction_history.domain.touched import Parsed, Touched, taken_back, touched

MISSING: Final = "(missing)"
"""Instead of a column: the row is not there."""
UNEXPECTED: Final = "(unexpected)"
"""Instead of a column: no event made the row."""
CONTRADICTION: Final = "(contradiction)"
"""Instead of a column: the event does not follow the one before it, and yet it was applied."""
_SET_BY: Final[Mapping[str, frozenset[str]]] = {
    "status": frozenset({CLOSED.name}),
    "restrictions": frozenset({RESTRICTED.name, UNRESTRICTED.name}),
    "overdraft_limit_minor": frozenset({OVERDRAFT_CHANGED.name}),
    "private": frozenset({DETAILS_CHANGED.name}),
}
"""Columns of a wallet that its entries do not tell, with the events that set them; its opening sets all of them."""
_APART: Final = frozenset({"placed_at", "transactions"})
"""Columns of a hold that its newest event does not tell."""

LedgerData = WalletOpened | WalletData
Struct = TypeVar("Struct", bound=msgspec.Struct)


class Difference(msgspec.Struct, frozen=True):
    """A column that is not as *seq* of *shard* says, in the row *key* of *table*; or what is instead of a column.

    *wallet_id* is whose event told it; None where that is no single one.
    """

    shard: int
    seq: int
    table: str
    column: str
    key: str
    wallet_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the tables have of what is touched, all as of one instant.

    By wallet: *entries* and *state_changes* of the time of its events, and the entry before these; the *newest* row of
    each kind; *later* are the types of state changes behind its events. *told* has every entry of the touched
    transactions, of what takes these back, and of what captured the touched holds. *hold_entries* are the entries that
    the holds say they are as of, by wallet and version. *day_ends* are the last entries of the touched days.
    """

    wallets: Mapping[UUID, WalletRow]
    entries: Mapping[UUID, Sequence[EntryRow]]
    state_changes: Mapping[UUID, Sequence[StateChangeRow]]
    newest_entry: Mapping[UUID, EntryRow]
    newest_change: Mapping[UUID, StateChangeRow]
    later: Mapping[UUID, Collection[str]]
    told: Sequence[EntryRow | SystemEntryRow]
    transactions: Mapping[UUID, TransactionRow]
    holds: Mapping[tuple[UUID, UUID], HoldRow]
    hold_entries: Mapping[tuple[UUID, int], EntryRow]
    days: Mapping[UUID, Sequence[BalanceDayRow]]
    day_ends: Sequence[EntryRow]


def differences(parsed: Sequence[Parsed], stored: Stored) -> list[Difference]:
    """Return where *stored* is not what *parsed* events, of known wallets' parts of their shards, make of it."""
    comparison = _Comparison(stored, touched(parsed))
    for event, data in parsed:
        comparison.take(event, data)
    comparison.end()
    return in_order(comparison.found)


def in_order(found: Iterable[Difference]) -> list[Difference]:
    """Return what was *found*, each once, by where it was."""
    return sorted(set(found), key=lambda each: (each.shard, each.seq, each.table, each.column, each.key))


def differing(expected: Struct, stored: Struct, *, leaving_out: Collection[str] = ()) -> list[str]:
    """Return the columns in which two rows of a table differ."""
    names = (name for name in expected.__struct_fields__ if name not in leaving_out)
    return [name for name in names if getattr(expected, name) != getattr(stored, name)]


class _Comparison:
    """The events taken so far, beside what is stored."""

    def __init__(self, stored: Stored, seen: Touched) -> None:
        self.found: list[Difference] = []
        self._stored = stored
        self._touched = seen
        self._entries = {(row.wallet_id, row.version): row for rows in stored.entries.values() for row in rows}
        self._changes = {(row.wallet_id, row.version): row for rows in stored.state_changes.values() for row in rows}
        self._system = {
            (row.transaction_id, row.entry_index): row for row in stored.told if isinstance(row, SystemEntryRow)
        }
        self._captures = _captures(stored.told)
        self._before: dict[UUID, EntryRow] = {}
        self._made: set[tuple[str, UUID, int]] = set()
        self._last: dict[UUID, Envelope] = {}
        self._set: dict[tuple[UUID, str], tuple[Envelope, object]] = {}
        self._holds: dict[tuple[UUID, UUID], tuple[Envelope, HoldRow]] = {}
        self._by_transaction: dict[UUID, Envelope] = {}
        self._by_day: dict[tuple[UUID, date], Envelope] = {}

    def take(self, event: Envelope, data: EventData) -> None:
        """Compare the row that *event* added, and remember what else it has to do with."""
        if event.transaction_id is not None:
            self._by_transaction[event.transaction_id] = event
        match data:
            case OwnerChanged() | PolicyChanged():
                return
            case SystemEntryPosted():
                self._take_system_entry(event, data)
            case _:
                self._take_of_wallet(event, data)

    def end(self) -> None:
        """Compare what the events together made of wallets, holds, days and transactions."""
        for wallet_id, event in self._last.items():
            self._end_wallet(wallet_id, event)
            if self._touched.windows[wallet_id].is_dense:
                self._end_rows(wallet_id, event)
        for (wallet_id, hold_id), (event, hold) in self._holds.items():
            self._end_hold(event, hold, self._stored.holds.get((wallet_id, hold_id)))
        self._end_days()
        self._end_transactions()

    def _name(self, event: Envelope, table: str, column: str, key: object) -> None:
        self.found.append(Difference(event.shard, event.sequence, table, column, str(key), event.subject))

    def _compare(
        self,
        event: Envelope,
        table: str,
        key: object,
        expected: Struct | None,
        stored: Struct | None,
        *,
        leaving_out: Collection[str] = (),
    ) -> None:
        if expected is None or stored is None:
            if expected is not stored:
                self._name(event, table, MISSING if stored is None else UNEXPECTED, key)
            return
        for column in differing(expected, stored, leaving_out=leaving_out):
            self._name(event, table, column, key)

    def _take_system_entry(self, event: Envelope, data: SystemEntryPosted) -> None:
        expected = project(event, data, None).added
        assert isinstance(expected, SystemEntryRow), "that is what a system account's entry makes"
        key = (expected.transaction_id, expected.entry_index)
        self._compare(event, "system_entry", _key(*key), expected, self._system.get(key))

    def _take_of_wallet(self, event: Envelope, data: LedgerData) -> None:
        wallet_id, version = event.subject, event.wallet_version
        if version is None:
            self._name(event, "wallet", CONTRADICTION, wallet_id)
            return
        self._last[wallet_id] = event
        try:
            changes = project(event, data, self._wallet_before(event, data, version))
        except Contradiction:
            self._name(event, "wallet", CONTRADICTION, wallet_id)
            return
        assert changes.wallet is not None, "a wallet's event changes it"
        key, row = (wallet_id, version), changes.added
        if isinstance(row, EntryRow):
            stored = self._entries.get(key)
            self._compare(event, "entry", _key(*key), row, stored)
            self._before[wallet_id] = row if stored is None else stored
            self._made.add(("entry", *key))
            self._by_day[wallet_id, event.time.astimezone(UTC).date()] = event
            if (returned := taken_back(data)) is not None:
                self._by_transaction[returned] = event
        elif isinstance(row, StateChangeRow):
            self._compare(event, "state_change", _key(*key), row, self._changes.get(key))
            self._made.add(("state_change", *key))
            self._remember_set(event, changes.wallet)
        if changes.hold is not None:
            self._take_hold(event, changes.hold)

    def _remember_set(self, event: Envelope, wallet: WalletRow) -> None:
        for column, types in _SET_BY.items():
            if event.wallet_version == 1 or event.type in types:
                self._set[event.subject, column] = event, getattr(wallet, column)

    def _take_hold(self, event: Envelope, hold: HoldRow) -> None:
        key = (hold.wallet_id, hold.hold_id)
        self._holds[key] = event, hold
        stored = self._stored.holds.get(key)
        if event.type == HOLD_PLACED.name and stored is not None and stored.placed_at != event.time:
            self._name(event, "hold", "placed_at", _key(*key))

    def _wallet_before(self, event: Envelope, data: LedgerData, version: int) -> WalletRow | None:
        """Return what of the wallet before *event* its row is told from, None before its opening."""
        if isinstance(data, WalletOpened):
            return None
        before = self._entry_before(event.subject, version)
        moved = parse_signed_minor(data.amount) if isinstance(data, EntryPosted | HoldCaptured) else 0
        return WalletRow(
            wallet_id=event.subject,
            tenant_id=event.tenant_id,
            owner_id=data.owner_id,
            currency=data.balance.posted.currency,
            status="open",
            restrictions="[]",
            overdraft_limit_minor=0,
            posted_minor=parse_signed_minor(data.balance.posted) - moved,
            held_minor=0,
            version=version - 1,
            opened_at=event.time,
            last_at=event.time,
            private=None,
            shard=event.shard,
            entries=0 if before is None else before.entries_after,
            credits_total=0 if before is None else before.credits_after,
            debits_total=0 if before is None else before.debits_after,
            fees_total=0 if before is None else before.fees_after,
            first_entry_at=None,
            last_entry_at=None,
        )

    def _entry_before(self, wallet_id: UUID, version: int) -> EntryRow | None:
        """Return the entry before *version*: as it is stored, or where that is missing as its event made it."""
        rows = self._stored.entries.get(wallet_id, ())
        place = bisect_left(rows, version, key=_version)
        newest, here = rows[place - 1] if place else None, self._before.get(wallet_id)
        return newest if here is None or (newest is not None and newest.version > here.version) else here

    def _end_rows(self, wallet_id: UUID, event: Envelope) -> None:
        """Name the rows of the time of the wallet's events that none of these made."""
        versions = self._touched.windows[wallet_id].versions
        rows: list[tuple[str, EntryRow | StateChangeRow]] = [
            *(("entry", row) for row in self._stored.entries.get(wallet_id, ())),
            *(("state_change", row) for row in self._stored.state_changes.get(wallet_id, ())),
        ]
        seen: set[tuple[str, int]] = set()
        for table, row in rows:
            place = (table, row.version)
            is_made = (table, wallet_id, row.version) in self._made and place not in seen
            seen.add(place)
            if row.version in versions and not is_made:
                self._name(event, table, UNEXPECTED, _key(wallet_id, row.version))

    def _end_wallet(self, wallet_id: UUID, event: Envelope) -> None:
        stored = self._stored.wallets.get(wallet_id)
        if stored is None:
            self._name(event, "wallet", MISSING, wallet_id)
            return
        for column, value in self._told_of_wallet(wallet_id, event).items():
            if getattr(stored, column) != value:
                self._name(event, "wallet", column, wallet_id)
        for column, types in _SET_BY.items():
            told = self._set.get((wallet_id, column))
            is_newest = types.isdisjoint(self._stored.later.get(wallet_id, ()))
            if told is not None and is_newest and getattr(stored, column) != told[1]:
                self._name(told[0], "wallet", column, wallet_id)

    def _told_of_wallet(self, wallet_id: UUID, event: Envelope) -> dict[str, object]:
        """Return what the wallet's newest rows tell of it, and what of it never changes."""
        entry, change = self._stored.newest_entry.get(wallet_id), self._stored.newest_change.get(wallet_id)
        newest = max((row for row in (entry, change) if row is not None), key=lambda row: row.version, default=None)
        told: dict[str, object] = {
            "tenant_id": event.tenant_id,
            "shard": event.shard,
            "posted_minor": 0 if entry is None else entry.posted_minor_after,
            "held_minor": 0 if entry is None else entry.held_minor_after,
            "entries": 0 if entry is None else entry.entries_after,
            "credits_total": 0 if entry is None else entry.credits_after,
            "debits_total": 0 if entry is None else entry.debits_after,
            "fees_total": 0 if entry is None else entry.fees_after,
            "last_entry_at": None if entry is None else entry.occurred_at,
        }
        if newest is not None:
            told |= {"owner_id": newest.owner_id, "version": newest.version, "last_at": newest.occurred_at}
        if entry is not None:
            told["currency"] = entry.currency
        window, entries = self._touched.windows[wallet_id], self._stored.entries.get(wallet_id)
        if 1 in window.versions:
            told["opened_at"] = window.since
        if entries and entries[0].version >= min(window.versions):
            told["first_entry_at"] = entries[0].occurred_at
        return told

    def _end_hold(self, event: Envelope, hold: HoldRow, stored: HoldRow | None) -> None:
        key = _key(hold.wallet_id, hold.hold_id)
        if stored is None:
            self._name(event, "hold", MISSING, key)
            return
        if stored.version > hold.version:
            newest = self._stored.hold_entries.get((hold.wallet_id, stored.version))
            if newest is None or newest.hold_id != hold.hold_id:
                self._name(event, "hold", "version", key)
        else:
            self._compare(event, "hold", key, hold, stored, leaving_out=_APART)
        captures = self._captures.get((hold.wallet_id, hold.hold_id), {})
        if stored.transactions != tuple(captures[version] for version in sorted(captures)):
            self._name(event, "hold", "transactions", key)

    def _end_days(self) -> None:
        ended = Rows()
        for row in self._stored.day_ends:
            ended.add(row)
        expected = {(row.wallet_id, row.day): row for row in ended.balance_days}
        stored = {(row.wallet_id, row.day): row for rows in self._stored.days.values() for row in rows}
        for key, event in self._by_day.items():
            self._compare(event, "balance_day", _key(*key), expected.get(key), stored.get(key))
        for key in stored.keys() - self._by_day.keys():
            if self._touched.windows[key[0]].is_dense:
                self._name(self._last[key[0]], "balance_day", UNEXPECTED, _key(*key))

    def _end_transactions(self) -> None:
        told = Rows()
        for row in self._stored.told:
            told.add(row)
        expected = {row.transaction_id: row for row in told.transactions}
        for transaction_id, event in self._by_transaction.items():
            stored = self._stored.transactions.get(transaction_id)
            self._compare(event, "transaction", transaction_id, expected.get(transaction_id), stored)


def by_wallet(rows: Iterable[Struct]) -> dict[UUID, list[Struct]]:
    """Return *rows*, each of a wallet, by that, in their order."""
    found: defaultdict[UUID, list[Struct]] = defaultdict(list)
    for row in rows:
        found[row.wallet_id].append(row)  # type: ignore[attr-defined]  # each kind of row that is given has it
    return found


def _captures(told: Iterable[EntryRow | SystemEntryRow]) -> dict[tuple[UUID, UUID | None], dict[int, UUID | None]]:
    """Return by hold the transactions that captured it, by the wallet's version."""
    found: defaultdict[tuple[UUID, UUID | None], dict[int, UUID | None]] = defaultdict(dict)
    for row in told:
        if isinstance(row, EntryRow) and row.type == HOLD_CAPTURED.name:
            found[row.wallet_id, row.hold_id][row.version] = row.transaction_id
    return found


def _version(row: EntryRow) -> int:
    return row.version


def _key(*parts: object) -> str:
    return "/".join(map(str, parts))
