"""Holds of a wallet, and what changed its state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from servicekit.read_model.projected import Freshness
from servicekit.read_model.walking import Walk, Walked
from transaction_history.domain.rows import HoldRow, StateChangeRow
from transaction_history.projection.columns import row_of, selected
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.listing import Listing, VersionPosition, read_page
from transaction_history.reads.view import View
from transaction_history.reads.wallets import freshness_of, known_wallet


class HoldPosition(NamedTuple):
    """Which hold: ids ascend with time."""

    hold_id: UUID


_HOLDS: Final[Listing[HoldPosition]] = Listing(selected=selected(HoldRow), table=f"{SCHEMA}.hold", key=("hold_id",))
_CHANGES: Final[Listing[VersionPosition]] = Listing(
    selected=selected(StateChangeRow), table=f"{SCHEMA}.state_change", key=("occurred_at", "version")
)


@dataclass(frozen=True, slots=True)
class Holds:
    """A page of a wallet's holds."""

    page: Walked[HoldRow, HoldPosition]
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class StateChanges:
    """A page of what changed a wallet's state."""

    page: Walked[StateChangeRow, VersionPosition]
    freshness: Freshness


async def wallet_holds(view: View, wallet_id: UUID, states: Sequence[str], walk: Walk[HoldPosition]) -> Holds:
    """Return a page of a wallet's holds in one of *states*, empty for any; those placed last first.

    Raises WalletUnknown and SubjectParked.
    """
    await known_wallet(view, wallet_id)
    asked = view.asked(wallet_id=wallet_id)
    asked.owners(view.caller.owners)
    others = [f"status = any ({asked.value(list(states))})"] if states else []
    found = await read_page(view, _HOLDS, walk, asked, others=others)
    rows = [row_of(HoldRow, row) for row in found.rows]
    page = Walked(rows, lambda row: HoldPosition(row.hold_id), found.looked_to)
    return Holds(page, freshness_of(view, wallet_id))


async def wallet_state_changes(view: View, wallet_id: UUID, walk: Walk[VersionPosition]) -> StateChanges:
    """Return a page of what changed a wallet's state and moved no money, newest first.

    Raises WalletUnknown and SubjectParked.
    """
    await known_wallet(view, wallet_id)
    asked = view.asked(wallet_id=wallet_id)
    asked.owners(view.caller.owners)
    found = await read_page(view, _CHANGES, walk, asked)
    rows = [row_of(StateChangeRow, row) for row in found.rows]
    page = Walked(rows, lambda row: VersionPosition(row.occurred_at, row.version))
    return StateChanges(page, freshness_of(view, wallet_id))
