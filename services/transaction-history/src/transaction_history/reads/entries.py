"""Entries of a wallet and of an owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from uuid import UUID

from servicekit.read_model.projected import Freshness
from servicekit.read_model.walking import Walk, Walked
from transaction_history.domain.rows import EntryRow
from transaction_history.projection.columns import row_of, selected
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.listing import Listing, TimedPosition, VersionPosition, read_page
from transaction_history.reads.view import View
from transaction_history.reads.wallets import freshness_of, known_wallet, of_owner, owner_shards

P = TypeVar("P")

_OF_WALLET: Final[Listing[VersionPosition]] = Listing(
    selected=selected(EntryRow), table=f"{SCHEMA}.entry", key=("occurred_at", "version")
)
_OF_OWNER: Final[Listing[TimedPosition]] = Listing(
    selected=selected(EntryRow), table=f"{SCHEMA}.entry", key=("occurred_at", "event_id")
)
_IS_OF_A_TRANSACTION: Final = "entry_index is not null"


@dataclass(frozen=True, slots=True)
class Entries(Generic[P]):
    """A page of entries."""

    page: Walked[EntryRow, P]
    freshness: Freshness


async def wallet_entries(view: View, wallet_id: UUID, walk: Walk[VersionPosition]) -> Entries[VersionPosition]:
    """Return a page of a wallet's entries, newest first; raises WalletUnknown and SubjectParked."""
    wallet = await known_wallet(view, wallet_id)
    asked = view.asked(wallet_id=wallet_id)
    asked.owners(view.caller.owners)
    asked.require(_IS_OF_A_TRANSACTION)
    if wallet.first_entry_at is not None:
        # What tells which partitions it may have entries in.
        asked.require(f"occurred_at >= {asked.value(wallet.first_entry_at)}")
    found = await read_page(view, _OF_WALLET, walk, asked)
    page = Walked(_entries(found.rows), lambda row: VersionPosition(row.occurred_at, row.version))
    return Entries(page, freshness_of(view, wallet_id))


async def owner_entries(view: View, owner_id: str, walk: Walk[TimedPosition]) -> Entries[TimedPosition]:
    """Return a page of the entries of all of an owner's wallets, newest first, none for an unknown owner.

    Raises SubjectParked.
    """
    shards = await owner_shards(view, owner_id)
    asked = of_owner(view.caller, owner_id)
    asked.require(_IS_OF_A_TRANSACTION)
    found = await read_page(view, _OF_OWNER, walk, asked)
    page = Walked(_entries(found.rows), lambda row: TimedPosition(row.occurred_at, row.event_id))
    return Entries(page, view.freshness(shards))


def _entries(rows: Sequence[Sequence[object]]) -> list[EntryRow]:
    return [row_of(EntryRow, row) for row in rows]
