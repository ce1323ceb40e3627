"""What the index has counted: a tenant's totals by day and type, and a wallet's other sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

import asyncpg

from contracts.ids import SHARDS, shard_of
from servicekit.principal import Principal
from servicekit.read_model.projected import Freshness, Projected, freshness
from transaction_history.indexing.projection import INDEX
from transaction_history.reads.view import Parked, View, told_parked
from transaction_history.reads.wallets import known_wallet

TOTALS_MAX: Final = 10_000
COUNTERPARTIES_MAX: Final = 10_000
"""Of more other sides the first by id are ranked, and the answer says so: sorting must not grow with the wallet."""
ORDERS: Final = {"volume": "credits + debits", "entries": "entries", "last": "last_at"}


class TooManyTotals(Exception):
    """There would be more than 10,000."""


@dataclass(frozen=True, slots=True)
class Total:
    """What transactions of a currency came to; *day* and *type* are None where they are not told apart."""

    currency: str
    day: date | None
    type: str | None
    transactions: int
    entries: int
    credits_minor: int
    debits_minor: int


@dataclass(frozen=True, slots=True)
class Totals:
    """A tenant's totals, and the parked wallets that they may lack entries of."""

    rows: Sequence[Total]
    parked: Parked
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class OtherSide:
    """What went between a wallet and one other side: a wallet, or a system account."""

    wallet_id: UUID | None
    owner_id: str | None
    account: str | None
    currency: str
    entries: int
    credits_minor: int
    debits_minor: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class OtherSides:
    """A wallet's other sides; not *is_complete* where there are more than were ranked."""

    rows: Sequence[OtherSide]
    is_complete: bool
    freshness: Freshness


class CountedReads:
    """Reads what the index has counted; *index* tells how far that is."""

    def __init__(self, index: Projected) -> None:
        self._index = index

    async def wait_for(self, min_position: Mapping[int, int]) -> None:
        """Wait until the index has come to *min_position*; raises as `Projected.wait_for` does."""
        await self._index.wait_for(min_position)

    async def totals(self, view: View, begin: date, end: date, *, by_day: bool, by_type: bool) -> Totals:
        """Return the tenant's totals of the UTC days from *begin* to *end*, which is not included.

        Raises TooManyTotals.
        """
        progress = await self._index.progress_on(view.connection)
        day, kind = "day" if by_day else "null::date", "type" if by_type else "null::text"
        asked = view.asked()
        asked.require(f"day >= {asked.value(begin)} and day < {asked.value(end)}")
        query = f"""
            select currency, {day} as day, {kind} as type, sum(transactions), sum(entries), sum(credits), sum(debits)
            from {INDEX}.day_total {asked} group by 1, 2, 3 order by 2, 1, 3 limit {asked.value(TOTALS_MAX + 1)}"""
        records = await view.fetch(query, asked)
        if len(records) > TOTALS_MAX:
            raise TooManyTotals
        rows = [Total(*tuple(record)[:3], *map(int, tuple(record)[3:])) for record in records]
        return Totals(rows, told_parked(await view.parked()), freshness(progress, range(SHARDS)))

    async def other_sides(self, view: View, wallet_id: UUID, *, order: str, limit: int) -> OtherSides:
        """Return the *limit* first of a wallet's other sides, most first; raises WalletUnknown and SubjectParked."""
        await known_wallet(view, wallet_id)
        progress = await self._index.progress_on(view.connection)
        asked = view.asked(wallet_id=wallet_id)
        asked.owners(view.caller.owners)
        looked_at = asked.value(COUNTERPARTIES_MAX + 1)
        query = f"""
            with looked_at as materialized (
                select * from {INDEX}.counterparty {asked}
                order by counterparty_wallet_id, counterparty_account limit {looked_at})
            select counterparty_wallet_id, counterparty_owner_id, counterparty_account, currency, entries,
                   credits, debits, first_at, last_at, (select count(*) from looked_at) as count
            from looked_at order by {ORDERS[order]} desc, counterparty_wallet_id, counterparty_account
            limit {asked.value(limit)}"""
        records = await view.fetch(query, asked)
        rows = [_other_side(view.caller, record) for record in records]
        is_complete = not records or records[0]["count"] <= COUNTERPARTIES_MAX
        return OtherSides(rows, is_complete, freshness(progress, [shard_of(wallet_id)]))


def _other_side(caller: Principal, record: asyncpg.Record) -> OtherSide:
    owner_id = record["counterparty_owner_id"]
    return OtherSide(
        wallet_id=record["counterparty_wallet_id"],
        owner_id=owner_id if owner_id is not None and caller.acts_for_owner(owner_id) else None,
        account=record["counterparty_account"],
        currency=record["currency"],
        entries=record["entries"],
        credits_minor=int(record["credits"]),
        debits_minor=int(record["debits"]),
        first_at=record["first_at"],
        last_at=record["last_at"],
    )
