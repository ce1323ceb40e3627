"""Wallets as the read model has them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.ids import SHARDS, shard_of
from servicekit.conditions import Where
from servicekit.principal import Principal
from servicekit.read_model.projected import Freshness, SubjectParked
from servicekit.read_model.walking import Walk, Walked
from transaction_history.domain.rows import WalletRow
from transaction_history.projection.columns import row_of, selected
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.listing import Each, Listing, TimedPosition, read_page
from transaction_history.reads.view import Parked, View, told_parked

_LIST: Final[Listing[TimedPosition]] = Listing(
    selected=selected(WalletRow), table=f"{SCHEMA}.wallet", key=("opened_at", "wallet_id")
)
_SHARD: Final = f"get_byte(uuid_send(wallet_id), 15) & {SHARDS - 1}"


class WalletUnknown(Exception):
    """There is no such wallet, or it is not the caller's to see."""


@dataclass(frozen=True, slots=True)
class WalletFilter:
    """Which wallets: *idle_since* are those without an entry since. None does not filter."""

    owner_id: str | None = None
    currency: str | None = None
    status: str | None = None
    restricted: bool | None = None
    idle_since: datetime | None = None
    opened_from: datetime | None = None
    opened_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wallets:
    """A page of wallets, and those that it lacks."""

    page: Walked[WalletRow, TimedPosition]
    parked: Parked
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class CurrencyBalance:
    """What an owner has in a currency, over all of its wallets."""

    currency: str
    wallets: int
    posted_minor: int
    held_minor: int


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet as the history has it."""

    wallet: WalletRow
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class OwnerBalances:
    """What an owner has, by currency."""

    balances: Sequence[CurrencyBalance]
    freshness: Freshness


async def known_wallet(view: View, wallet_id: UUID) -> WalletRow:
    """Return a wallet; raises WalletUnknown, and SubjectParked where it is parked."""
    asked = view.asked(wallet_id=wallet_id)
    asked.owners(view.caller.owners)
    records = await view.fetch(f"select {selected(WalletRow)} from {SCHEMA}.wallet {asked}", asked)
    if not records:
        raise WalletUnknown
    await view.refuse_parked([wallet_id])
    return row_of(WalletRow, records[0])


async def one_wallet(view: View, wallet_id: UUID) -> Wallet:
    """Return a wallet and how fresh that is; raises as `known_wallet` does."""
    return Wallet(await known_wallet(view, wallet_id), freshness_of(view, wallet_id))


def freshness_of(view: View, wallet_id: UUID) -> Freshness:
    """Return how fresh an answer about one wallet is."""
    return view.freshness([shard_of(wallet_id)])


async def list_wallets(view: View, wanted: WalletFilter, walk: Walk[TimedPosition]) -> Wallets:
    """Return a page of wallets, those opened last first, without the parked ones."""
    asked, owners = view.asked(), sought_owners(view.caller, [] if wanted.owner_id is None else [wanted.owner_id])
    if wanted.opened_from is not None:
        asked.require(f"opened_at >= {asked.value(wanted.opened_from)}")
    if wanted.opened_to is not None:
        asked.require(f"opened_at < {asked.value(wanted.opened_to)}")
    parked = await view.parked()
    if parked:
        asked.require(f"wallet_id <> all ({asked.value(parked)}::uuid[])")
    found = await read_page(view, _LIST, walk, asked, others=_others(asked, wanted), each=owners)
    rows = [row_of(WalletRow, row) for row in found.rows]
    page = Walked(rows, lambda row: TimedPosition(row.opened_at, row.wallet_id), found.looked_to)
    return Wallets(page, told_parked(parked), view.freshness())


def sought_owners(caller: Principal, owner_ids: Collection[str]) -> Each | None:
    """Return whose rows are sought, those of *owner_ids* alone if any is given; None: every owner's."""
    if owner_ids:
        return Each("owner_id", "text", [owner for owner in owner_ids if caller.acts_for_owner(owner)])
    return None if caller.owners is None else Each("owner_id", "text", caller.owners)


async def owner_balances(view: View, owner_id: str) -> OwnerBalances:
    """Return what an owner has, nothing for an unknown one; raises SubjectParked."""
    shards = await owner_shards(view, owner_id)
    asked = of_owner(view.caller, owner_id)
    query = f"""
        select currency, count(*) as wallets, sum(posted_minor) as posted_minor, sum(held_minor) as held_minor
        from {SCHEMA}.wallet {asked} group by currency order by currency"""
    balances = [
        CurrencyBalance(row["currency"], row["wallets"], int(row["posted_minor"]), int(row["held_minor"]))
        for row in await view.fetch(query, asked)
    ]
    return OwnerBalances(balances, view.freshness(shards))


async def owner_shards(view: View, owner_id: str) -> Sequence[int]:
    """Return the shards of an owner's wallets, however many they are; raises SubjectParked where one is parked."""
    asked = of_owner(view.caller, owner_id)
    query = f"""
        select array(select distinct {_SHARD} from {SCHEMA}.wallet {asked} order by 1) as shards,
               exists (select from servicekit.parked_subject join {SCHEMA}.wallet on wallet_id = subject
                       {asked} and projection = {asked.value(SCHEMA)}) as is_parked"""
    (record,) = await view.fetch(query, asked)
    if record["is_parked"]:
        raise SubjectParked
    shards: Sequence[int] = record["shards"]
    return shards


def of_owner(caller: Principal, owner_id: str) -> Where:
    """Return the conditions of an owner's rows, which none fulfils where the caller does not act for it."""
    asked = Where({"tenant_id": caller.tenant_id})
    owner = asked.value(owner_id)
    asked.require(f"owner_id = {owner}")
    # The owner that is asked for is compared, not each row's: where it is not the caller's, no row is read.
    asked.owners(caller.owners, owner)
    return asked


def _others(asked: Where, wanted: WalletFilter) -> list[str]:
    """Return the conditions that no index serves; their values are added to *asked*."""
    others = []
    if wanted.currency is not None:
        others.append(f"currency = {asked.value(wanted.currency)}")
    if wanted.status is not None:
        others.append(f"status = {asked.value(wanted.status)}")
    if wanted.restricted is not None:
        others.append(f"(restrictions <> '[]') = {asked.value(wanted.restricted)}")
    if wanted.idle_since is not None:
        others.append(f"coalesce(last_entry_at, opened_at) < {asked.value(wanted.idle_since)}")
    return others
