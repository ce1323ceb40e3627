"""Entries by what their own keys serve: wallet, owner, transaction and time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from contracts.ids import shard_of
from servicekit.conditions import Where
from servicekit.read_model.projected import Freshness
from servicekit.read_model.walking import Walk, Walked
from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.domain.rows import EntryRow, WalletRow
from transaction_history.projection.columns import row_of, selected
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.listing import Each, Listing, TimedPosition, read_page
from transaction_history.reads.view import EVERY_SHARD, Parked, View, told_parked
from transaction_history.reads.wallets import known_wallet, owner_shards, sought_owners

COUNTED_MAX: Final = 10_000
_LIST: Final[Listing[TimedPosition]] = Listing(
    selected=selected(EntryRow), table=f"{SCHEMA}.entry", key=("occurred_at", "event_id")
)
_IS_OF_A_TRANSACTION: Final = "entry_index is not null"


@dataclass(frozen=True, slots=True)
class Total:
    """How many entries there are; not *is_exact* where there are more than were counted."""

    count: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Entries:
    """A page of entries, and the parked wallets that it lacks."""

    page: Walked[EntryRow, TimedPosition]
    total: Total | None
    parked: Parked
    freshness: Freshness


async def list_entries(
    view: View,
    wanted: EntryFilter,
    walk: Walk[TimedPosition],
    *,
    newest_first: bool = True,
    counted_max: int | None = None,
    of_known: UUID | None = None,
) -> Entries:
    """Return a page of entries, and how many there are, counted to *counted_max*; none of what is not the caller's.

    Raises SubjectParked where a wallet or an owner is asked for that is parked, or has a parked wallet. With
    *of_known*, the one wallet that is asked for, raises WalletUnknown too.
    """
    if of_known is not None:
        wanted = _within(wanted, await known_wallet(view, of_known))
    shards = await _shards(view, wanted)
    parked = [] if wanted.wallet_ids or wanted.owner_ids else await view.parked()
    asked, each = _asked(view, wanted, parked)
    found = await read_page(view, replace(_LIST, newest_first=newest_first), walk, asked, each=each)
    rows = [row_of(EntryRow, row) for row in found.rows]
    page = Walked(rows, lambda row: TimedPosition(row.occurred_at, row.event_id))
    total = None if counted_max is None else await _count(view, wanted, parked, counted_max)
    return Entries(page, total, told_parked(parked), view.freshness(shards))


def _within(wanted: EntryFilter, wallet: WalletRow) -> EntryFilter:
    """Return *wanted* from the wallet's first entry on: that tells which partitions it has entries in."""
    begins = [at for at in (wanted.from_at, wallet.first_entry_at) if at is not None]
    return replace(wanted, from_at=max(begins, default=None))


async def _shards(view: View, wanted: EntryFilter) -> Sequence[int]:
    """Return the shards that the answer is about; raises SubjectParked."""
    if wanted.wallet_ids:
        await view.refuse_parked(wanted.wallet_ids)
        return [shard_of(wallet_id) for wallet_id in wanted.wallet_ids]
    if wanted.owner_ids:
        return [shard for owner_id in wanted.owner_ids for shard in await owner_shards(view, owner_id)]
    return EVERY_SHARD


def _asked(view: View, wanted: EntryFilter, parked: Sequence[UUID]) -> tuple[Where, Each | None]:
    """Return the conditions, and whose rows are sought: some wallets', some owners', or the tenant's."""
    asked, each = view.asked(), sought_owners(view.caller, wanted.owner_ids)
    if wanted.wallet_ids:
        asked.owners(None if each is None else [str(owner) for owner in each.values])
        each = Each("wallet_id", "uuid", wanted.wallet_ids)
    asked.require(_IS_OF_A_TRANSACTION)
    if wanted.transaction_ids:
        asked.require(f"transaction_id = any ({asked.value(list(wanted.transaction_ids))}::uuid[])")
    if wanted.from_at is not None:
        asked.require(f"occurred_at >= {asked.value(wanted.from_at)}")
    if wanted.to_at is not None:
        asked.require(f"occurred_at < {asked.value(wanted.to_at)}")
    if parked:
        asked.require(f"wallet_id <> all ({asked.value(parked)}::uuid[])")
    return asked, each


async def _count(view: View, wanted: EntryFilter, parked: Sequence[UUID], counted_max: int) -> Total:
    asked, each = _asked(view, wanted, parked)
    if each is not None:
        asked.require(f"{each.column} = any ({asked.value(list(each.values))}::{each.kind}[])")
    query = f"""
        select count(*) from (select from {SCHEMA}.entry {asked} limit {asked.value(counted_max + 1)}) as counted"""
    (record,) = await view.fetch(query, asked)
    count: int = record["count"]
    return Total(min(count, counted_max), count <= counted_max)
