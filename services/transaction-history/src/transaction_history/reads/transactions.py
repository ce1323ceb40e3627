"""Transactions with their entries, whatever has come of them so far."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.ids import shard_of
from servicekit.conditions import Where
from servicekit.read_model.projected import Freshness
from servicekit.read_model.walking import Walk, Walked
from transaction_history.domain.months import MADE_AROUND, first_id, made_at
from transaction_history.domain.rows import EntryRow, SystemEntryRow, TransactionRow
from transaction_history.projection.columns import columns_of, row_of, selected, transaction_of
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.listing import Each, Listing, TimedPosition, read_page
from transaction_history.reads.view import Parked, View, told_parked

_STATED: Final = f"{selected(TransactionRow)}, status"


class TransactionUnknown(Exception):
    """There is no such transaction, or it is not the caller's to see."""


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """Which transactions; the amounts are minor units of the one currency. None does not filter."""

    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    complete: bool | None = None
    currency: str | None = None
    amount_min_minor: int | None = None
    amount_max_minor: int | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stated:
    """A transaction and its status; *place* is where it stands in a list that has another order than its own."""

    row: TransactionRow
    status: str
    place: TimedPosition | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every entry of it has come."""
        return self.row.entries_seen == self.row.entry_count


@dataclass(frozen=True, slots=True)
class Transactions:
    """A page of transactions, and the parked wallets whose entries it lacks."""

    page: Walked[Stated, TimedPosition]
    parked: Parked
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class TransactionEntries:
    """A transaction with its entries that have been read from the topic so far."""

    stated: Stated
    entries: Sequence[EntryRow]
    system_entries: Sequence[SystemEntryRow]
    freshness: Freshness


async def transaction(view: View, transaction_id: UUID) -> TransactionEntries:
    """Return a transaction with its entries; raises TransactionUnknown and SubjectParked.

    All of them, of whatever owner, where the caller acts for the owner of one, be it one that is still to come.
    """
    asked = view.asked(transaction_id=transaction_id)
    records = await view.fetch(f"select {_STATED} from {SCHEMA}.transaction {asked} and entries_seen > 0", asked)
    if not records:
        raise TransactionUnknown
    stated = _stated(tuple(records[0]))
    entries = await _entries_of(view, stated.row)
    if view.caller.owners is not None and not any(_is_of(view, entry) for entry in entries):
        raise TransactionUnknown
    query = f"select {selected(SystemEntryRow)} from {SCHEMA}.system_entry {asked} order by entry_index"
    system_entries = [row_of(SystemEntryRow, record) for record in await view.fetch(query, asked)]
    touched = {row.wallet_id for row in entries} | {row.wallet_id for row in system_entries}
    touched |= {row.counterparty_wallet_id for row in entries if row.counterparty_wallet_id is not None}
    await view.refuse_parked(list(touched))
    return TransactionEntries(stated, entries, system_entries, view.freshness(map(shard_of, touched)))


async def list_transactions(
    view: View, wanted: TransactionFilter, walk: Walk[TimedPosition], *, newest_first: bool
) -> Transactions:
    """Return a page of transactions by when they were created.

    Where the caller acts for some owners alone they are those in which these have an entry, by the newest of these.
    """
    if view.caller.owners is None:
        page = await _of_everyone(view, wanted, walk, newest_first=newest_first)
    else:
        page = await _of_owners(view, wanted, walk, newest_first=newest_first)
    return Transactions(page, told_parked(await view.parked()), view.freshness())


async def _of_everyone(
    view: View, wanted: TransactionFilter, walk: Walk[TimedPosition], *, newest_first: bool
) -> Walked[Stated, TimedPosition]:
    asked = view.asked()
    asked.require("entries_seen > 0")
    _in_range(asked, "created_at", wanted)
    _name_partitions(asked, wanted)
    listing: Listing[TimedPosition] = Listing(
        selected=_STATED,
        table=f"{SCHEMA}.transaction",
        key=("created_at", "transaction_id"),
        newest_first=newest_first,
    )
    found = await read_page(view, listing, walk, asked, others=_others(asked, wanted))
    return Walked([_stated(row) for row in found.rows], _position_of, found.looked_to)


async def _of_owners(
    view: View, wanted: TransactionFilter, walk: Walk[TimedPosition], *, newest_first: bool
) -> Walked[Stated, TimedPosition]:
    owners: Collection[str] = view.caller.owners or ()
    asked = view.asked()
    asked.require("entry_index is not null")
    _in_range(asked, "occurred_at", wanted)
    listing: Listing[TimedPosition] = Listing(
        selected="tenant_id, transaction_id, occurred_at, event_id",
        table=f"{SCHEMA}.entry",
        key=("occurred_at", "event_id"),
        newest_first=newest_first,
    )
    conditions = [
        "t.transaction_id = looked_at.transaction_id and t.tenant_id = looked_at.tenant_id",
        *_others(asked, wanted),
    ]
    others = [
        f"exists (select from {SCHEMA}.transaction as t where {' and '.join(conditions)})",
        f"""not exists (select from {SCHEMA}.entry as newer
                        where newer.transaction_id = looked_at.transaction_id and newer.tenant_id = looked_at.tenant_id
                          and newer.owner_id = any ({asked.value(list(owners))}::text[])
                          and newer.occurred_at <= looked_at.occurred_at + interval '1 day'
                          and (newer.occurred_at, newer.event_id) > (looked_at.occurred_at, looked_at.event_id))""",
    ]
    found = await read_page(view, listing, walk, asked, others=others, each=Each("owner_id", "text", owners))
    stated = await _stated_of(view, [row[1] for row in found.rows])
    rows = [replace(stated[row[1]], place=TimedPosition(row[2], row[3])) for row in found.rows]
    return Walked(rows, _position_of, found.looked_to)


async def _stated_of(view: View, transaction_ids: Sequence[UUID]) -> dict[UUID, Stated]:
    asked = view.asked()
    asked.require(f"transaction_id = any ({asked.value(list(transaction_ids))}::uuid[])")
    records = await view.fetch(f"select {_STATED} from {SCHEMA}.transaction {asked}", asked)
    return {record["transaction_id"]: _stated(tuple(record)) for record in records}


def _in_range(asked: Where, column: str, wanted: TransactionFilter) -> None:
    if wanted.from_at is not None:
        asked.require(f"{column} >= {asked.value(wanted.from_at)}")
    if wanted.to_at is not None:
        asked.require(f"{column} < {asked.value(wanted.to_at)}")


async def _entries_of(view: View, row: TransactionRow) -> list[EntryRow]:
    asked = view.asked(transaction_id=row.transaction_id)
    # What tells which partitions they are in.
    asked.require(f"occurred_at >= {asked.value(row.created_at)} and occurred_at <= {asked.value(row.last_entry_at)}")
    query = f"select {selected(EntryRow)} from {SCHEMA}.entry {asked} order by entry_index"
    return [row_of(EntryRow, record) for record in await view.fetch(query, asked)]


def _is_of(view: View, entry: EntryRow) -> bool:
    owners = (entry.owner_id, entry.counterparty_owner_id)
    return any(owner is not None and view.caller.acts_for_owner(owner) for owner in owners)


def _name_partitions(asked: Where, wanted: TransactionFilter) -> None:
    """Require what the ids of transactions created in the range must be: partitions go by ids."""
    if wanted.from_at is not None:
        asked.require(f"transaction_id >= {asked.value(first_id(wanted.from_at - MADE_AROUND))}")
    if wanted.to_at is not None:
        asked.require(f"transaction_id < {asked.value(first_id(wanted.to_at + MADE_AROUND))}")


def _others(asked: Where, wanted: TransactionFilter) -> list[str]:
    """Return the conditions that no index serves; their values are added to *asked*."""
    others = []
    if wanted.types:
        others.append(f"type = any ({asked.value(list(wanted.types))})")
    if wanted.statuses:
        others.append(f"status = any ({asked.value(list(wanted.statuses))})")
    if wanted.complete is not None:
        others.append(f"(entries_seen = entry_count) = {asked.value(wanted.complete)}")
    if wanted.currency is not None:
        amount = f"(amounts ->> {asked.value(wanted.currency)})::numeric"
        others.append(f"{amount} is not null")
        if wanted.amount_min_minor is not None:
            others.append(f"{amount} >= {asked.value(wanted.amount_min_minor)}")
        if wanted.amount_max_minor is not None:
            others.append(f"{amount} <= {asked.value(wanted.amount_max_minor)}")
    return others


def _stated(row: Sequence[object]) -> Stated:
    width = len(columns_of(TransactionRow))
    return Stated(transaction_of(row[:width]), str(row[width]))


def _position_of(stated: Stated) -> TimedPosition:
    row = stated.row
    return stated.place or TimedPosition(row.created_at or made_at(row.transaction_id), row.transaction_id)
