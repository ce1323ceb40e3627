"""Balances at an instant or version, and what happened in between, from the totals that entries carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from contracts.ids import shard_of
from servicekit.conditions import Where
from servicekit.read_model.projected import Freshness
from transaction_history.domain.rows import WalletRow
from transaction_history.domain.totals import NOTHING, Standing, seek
from transaction_history.projection.columns import row_of, selected
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.view import View
from transaction_history.reads.wallets import freshness_of, known_wallet, of_owner, owner_shards

OWNER_WALLETS_MAX: Final = 100
LOOK_UPS_MAX: Final = 20_000
"""How many balances one series is made of: wallets times edges."""
_STANDING: Final = """
    version, occurred_at, posted_minor_after, held_minor_after,
    entries_after, credits_after, debits_after, fees_after"""
_NEWEST: Final = "order by occurred_at desc, version desc limit 1"
_TICK: Final = timedelta(microseconds=1)


class OpenedLater(Exception):
    """The wallet was opened after the instant that is asked for."""

    def __init__(self, opened_at: datetime) -> None:
        super().__init__(opened_at)
        self.opened_at = opened_at


class VersionUnknown(Exception):
    """The wallet has not come to the version that is asked for."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class TooManyWallets(Exception):
    """The owner has more wallets than a series is made for, or they have too many edges together."""


@dataclass(frozen=True, slots=True)
class BalanceAt:
    """A wallet's balance after its last row in `entry` up to an instant or version."""

    wallet: WalletRow
    standing: Standing
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class CurrencySeries:
    """Where the wallets of one currency stood at each edge, summed."""

    currency: str
    standings: Sequence[Standing]


@dataclass(frozen=True, slots=True)
class Series:
    """Where wallets stood at each edge, by currency."""

    edges: Sequence[datetime]
    currencies: Sequence[CurrencySeries]
    freshness: Freshness


async def balance_at(view: View, wallet_id: UUID, at: datetime) -> BalanceAt:
    """Return a wallet's balance at *at*; raises WalletUnknown, OpenedLater and SubjectParked."""
    wallet = await known_wallet(view, wallet_id)
    if at < wallet.opened_at:
        raise OpenedLater(wallet.opened_at)
    return BalanceAt(wallet, await _standing_at(view, wallet, at) or NOTHING, freshness_of(view, wallet_id))


async def balance_of_version(view: View, wallet_id: UUID, version: int) -> BalanceAt:
    """Return a wallet's balance after *version*; raises WalletUnknown, VersionUnknown and SubjectParked.

    Versions ascend with time, so that a version is sought by instants: an index on it would slow every event.
    """
    wallet = await known_wallet(view, wallet_id)
    if version > wallet.version:
        raise VersionUnknown(wallet.version)
    if wallet.first_entry_at is None or wallet.last_entry_at is None:
        return BalanceAt(wallet, NOTHING, freshness_of(view, wallet_id))
    seeking = seek(version, wallet.first_entry_at, wallet.last_entry_at, wallet.version)
    at = next(seeking)
    while True:
        try:
            at = seeking.send(await _standing_at(view, wallet, at))
        except StopIteration as found:
            standing = await _standing_of(view, wallet, version, found.value)
            return BalanceAt(wallet, standing, freshness_of(view, wallet_id))


async def wallet_series(view: View, wallet_id: UUID, edges: Sequence[datetime]) -> Series:
    """Return where a wallet stood at each of *edges*; raises WalletUnknown and SubjectParked."""
    wallet = await known_wallet(view, wallet_id)
    standings = await _standings(view, wallet, edges)
    return Series(edges, [CurrencySeries(wallet.currency, standings)], freshness_of(view, wallet_id))


async def owner_series(view: View, owner_id: str, edges: Sequence[datetime]) -> Series:
    """Return where an owner's wallets stood at each of *edges*, nothing for an unknown one.

    Raises SubjectParked, and TooManyWallets beyond 100 of them.
    """
    shards = await owner_shards(view, owner_id)
    asked = of_owner(view.caller, owner_id)
    query = f"""
        select {selected(WalletRow)} from {SCHEMA}.wallet {asked}
        order by wallet_id limit {asked.value(OWNER_WALLETS_MAX + 1)}"""
    wallets = [row_of(WalletRow, record) for record in await view.fetch(query, asked)]
    if len(wallets) > OWNER_WALLETS_MAX or len(wallets) * len(edges) > LOOK_UPS_MAX:
        raise TooManyWallets
    summed: dict[str, list[Standing]] = {}
    for wallet in wallets:
        standings = await _standings(view, wallet, edges)
        before = summed.get(wallet.currency)
        summed[wallet.currency] = (
            standings if before is None else [one + other for one, other in zip(before, standings, strict=True)]
        )
    currencies = [CurrencySeries(currency, summed[currency]) for currency in sorted(summed)]
    return Series(edges, currencies, view.freshness([*shards, *(shard_of(wallet.wallet_id) for wallet in wallets)]))


async def _standing_at(view: View, wallet: WalletRow, at: datetime) -> Standing | None:
    """Return where the wallet stood at *at*, the entries of that instant included; None before its first."""
    (standing,) = await _standings(view, wallet, [at + _TICK])
    return None if standing is NOTHING else standing


async def _standing_of(view: View, wallet: WalletRow, version: int, until: datetime) -> Standing:
    """Return where the wallet stood at *version*, beyond which it came at *until*: a few entries back from there."""
    asked = _of_wallet(view, wallet)
    asked.require(f"occurred_at <= {asked.value(until)} and version <= {asked.value(version)}")
    records = await view.fetch(f"select {_STANDING} from {SCHEMA}.entry {asked} {_NEWEST}", asked)
    return _standing(records[0]) if records else NOTHING


async def _standings(view: View, wallet: WalletRow, edges: Sequence[datetime]) -> list[Standing]:
    """Return where the wallet stood just before each of *edges*: one look-up each, in whatever partition it is."""
    if wallet.first_entry_at is None:
        return [NOTHING] * len(edges)
    asked = _of_wallet(view, wallet)
    asked.require("occurred_at < e.edge")
    query = f"""
        select found.* from unnest({asked.value(list(edges))}::timestamptz[]) with ordinality as e (edge, place)
        left join lateral (select {_STANDING} from {SCHEMA}.entry {asked} {_NEWEST}) as found on true
        order by e.place"""
    return [_standing(record) for record in await view.fetch(query, asked)]


def _of_wallet(view: View, wallet: WalletRow) -> Where:
    """Return the conditions of a wallet's rows, with what tells which partitions they are in."""
    asked = view.asked(wallet_id=wallet.wallet_id)
    asked.owners(view.caller.owners)
    asked.require(f"occurred_at >= {asked.value(wallet.first_entry_at)}")
    asked.require(f"occurred_at <= {asked.value(wallet.last_entry_at)}")
    return asked


def _standing(record: asyncpg.Record) -> Standing:
    if record["version"] is None:
        return NOTHING
    return Standing(
        version=record["version"],
        occurred_at=record["occurred_at"],
        posted_minor=record["posted_minor_after"],
        held_minor=record["held_minor_after"],
        entries=record["entries_after"],
        credits_minor=int(record["credits_after"]),
        debits_minor=int(record["debits_after"]),
        fees_minor=int(record["fees_after"]),
    )
