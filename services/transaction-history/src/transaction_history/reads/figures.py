"""What a dashboard's figures are read from. Each statement looks at so many rows and no more."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from contracts.ids import SHARDS
from servicekit.consumer import checkpoints
from servicekit.postgres import Connection
from servicekit.read_model.projected import freshness
from transaction_history.domain.dashboard import (
    ACTIVE_SHOWN,
    TOP_KEPT,
    CurrencyFigures,
    Dashboard,
    DashboardAsked,
    DayVolume,
    MinuteCount,
    Question,
    Ranked,
    Told,
    TopAsked,
    TopWallet,
    TopWallets,
    Window,
)
from transaction_history.indexing.projection import INDEX
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.view import parked_wallets, told_parked

LOOKED_AT_MAX: Final = 1_000_000
"""Rows of one table that a ranking or a count looks at, the newest: some seconds at most. Where there are more, the
answer says that it is not complete."""
VOLUMES_MAX: Final = 5_000

_MINUTES: Final = f"""
    select minute, sum(transactions)::bigint from {INDEX}.minute_total
    where tenant_id = $1 and minute >= $2 group by minute order by minute"""
_VOLUMES: Final = """
    select {day} as day, type, currency, sum(transactions)::bigint, sum(entries)::bigint, sum(credits), sum(debits)
    from {table} where tenant_id = $1 and {since} group by 1, 2, 3 order by 1 desc, 3, 2 limit $3"""
_VOLUMES_BY_MINUTE: Final = _VOLUMES.format(
    table=f"{INDEX}.minute_total", day="(minute at time zone 'UTC')::date", since="minute >= $2"
)
_VOLUMES_BY_DAY: Final = _VOLUMES.format(
    table=f"{INDEX}.day_total", day="day", since="day >= ($2::timestamptz at time zone 'UTC')::date"
)
_OPEN: Final = f"""
    select currency, sum(wallets)::bigint as open, sum(posted) as posted, sum(held) as held
    from {INDEX}.shard_total where tenant_id = $1 group by currency"""
_CLOSED: Final = f"""
    select currency, count(*) as count
    from (select currency from {SCHEMA}.wallet where tenant_id = $1 and status = 'closed' limit $2) as w
    group by currency"""
_OPENED: Final = f"""
    select currency, count(*) as count
    from (select currency from {SCHEMA}.wallet where tenant_id = $1 and opened_at >= $2 limit $3) as w
    group by currency"""
# What is looked at is cut off before it is filtered: no filter makes it longer.
_RANKED: Final = f"""
    select wallet_id, sum(entries)::bigint as entries, sum(credits) as credits, sum(debits) as debits
    from (select wallet_id, currency, entries, credits, debits from {INDEX}.wallet_hour
          where tenant_id = $1 and hour >= $2 order by hour desc, wallet_id desc limit $3) as h
    where ($4::text is null or currency = $4) and wallet_id <> all ($5::uuid[])
    group by wallet_id order by {{order}} desc, wallet_id limit $6"""
_RANKED_BY: Final = {
    Ranked.ENTRIES: _RANKED.format(order="sum(entries)"),
    Ranked.VOLUME: _RANKED.format(order="sum(credits + debits)"),
}
_RICHEST: Final = f"""
    select wallet_id
    from (select wallet_id, currency, posted_minor from {SCHEMA}.wallet
          where tenant_id = $1 order by opened_at desc, wallet_id desc limit $2) as w
    where currency = $3 and wallet_id <> all ($4::uuid[])
    order by posted_minor desc, wallet_id limit $5"""
_HOUR_BEHIND: Final = f"""
    select least(hour + interval '1 hour', date_trunc('hour', clock_timestamp())) as next
    from {INDEX}.wallet_hour where tenant_id = $1 and hour >= $2
    order by hour desc, wallet_id desc offset $3 limit 1"""
_WALLET_BEHIND: Final = f"""
    select true from {SCHEMA}.wallet where tenant_id = $1 order by opened_at desc, wallet_id desc offset $2 limit 1"""
_FLOWS: Final = f"""
    select wallet_id, sum(entries)::bigint as entries, sum(credits) as credits, sum(debits) as debits
    from {INDEX}.wallet_hour where tenant_id = $1 and wallet_id = any ($2::uuid[]) and hour >= $3 group by wallet_id"""
_WALLETS: Final = f"""
    select wallet_id, owner_id, currency, posted_minor from {SCHEMA}.wallet
    where tenant_id = $1 and wallet_id = any ($2::uuid[])"""


async def answer_to(connection: Connection, tenant_id: UUID, question: Question) -> Dashboard | TopWallets:
    """Return the answer to *question*, read on *connection*, which sees the rows of *tenant_id*."""
    reading = _Reading(connection, tenant_id, question.window)
    match question:
        case DashboardAsked():
            return await reading.dashboard()
        case TopAsked(by=by, currency=currency):
            return await reading.top_wallets(by, currency)


class _Reading:
    """Reads a tenant's figures of *window*; *is_complete* until something is cut off."""

    def __init__(self, connection: Connection, tenant_id: UUID, window: Window) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._window = window
        self._is_complete = True

    async def dashboard(self) -> Dashboard:
        as_of, until = await self._seen()
        begin, parked = self._window.begin(as_of), await parked_wallets(self._connection, self._tenant_id)
        day_ago = max(begin, Window.DAY.begin(as_of))
        minutes = [MinuteCount(*row) for row in await self._fetch(_MINUTES, day_ago)]
        volumes = await self._volumes(begin)
        currencies = await self._currencies(begin)
        active = await self._ranked(Ranked.ENTRIES, await self._hour_from(begin), None, parked, ACTIVE_SHOWN)
        told = self._told(as_of, until, begin, parked)
        return Dashboard(told=told, minutes=minutes, volumes=volumes, currencies=currencies, active=active)

    async def top_wallets(self, by: Ranked, currency: str | None) -> TopWallets:
        as_of, until = await self._seen()
        begin, parked = self._window.begin(as_of), await parked_wallets(self._connection, self._tenant_id)
        if by is Ranked.BALANCE:
            since = begin.replace(minute=0)
            wallets = await self._richest(since, currency, parked)
        else:
            since = await self._hour_from(begin)
            wallets = await self._ranked(by, since, currency, parked, TOP_KEPT)
        return TopWallets(told=self._told(as_of, until, since, parked), wallets=wallets)

    async def _fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._connection.fetch(query, self._tenant_id, *values)
        return rows

    async def _seen(self) -> tuple[datetime, datetime | None]:
        """Return the database's time, and up to when both projections are complete, before anything else is read."""
        as_of: datetime = await self._connection.fetchval("select clock_timestamp()")
        untils = [
            freshness(await checkpoints.progress(self._connection, name), range(SHARDS)).complete_until
            for name in (INDEX, SCHEMA)
        ]
        known = [until for until in untils if until is not None]
        return as_of, min(known) if len(known) == len(untils) else None

    def _told(self, as_of: datetime, until: datetime | None, begin: datetime, parked: Sequence[UUID]) -> Told:
        lacking = told_parked(parked)
        return Told(
            as_of=as_of,
            complete_until=until,
            parked_count=lacking.count,
            parked_ids=list(lacking.wallet_ids),
            counted_from=begin,
            is_complete=self._is_complete,
        )

    async def _volumes(self, begin: datetime) -> list[DayVolume]:
        query = _VOLUMES_BY_MINUTE if self._window.is_by_minute else _VOLUMES_BY_DAY
        rows = await self._fetch(query, begin, VOLUMES_MAX + 1)
        self._require(len(rows) <= VOLUMES_MAX)
        return [
            DayVolume(day, type_, currency, transactions, entries, int(credits_), int(debits))
            for day, type_, currency, transactions, entries, credits_, debits in rows[:VOLUMES_MAX]
        ]

    async def _currencies(self, begin: datetime) -> list[CurrencyFigures]:
        of_open = {row["currency"]: row for row in await self._fetch(_OPEN)}
        closed = await self._counted(_CLOSED)
        opened = await self._counted(_OPENED, begin)
        none = {"open": 0, "posted": 0, "held": 0}
        return [
            CurrencyFigures(
                currency=currency,
                open=found["open"],
                closed=closed[currency],
                opened=opened[currency],
                posted_minor=int(found["posted"]),
                held_minor=int(found["held"]),
            )
            for currency in sorted({*of_open, *closed, *opened})
            for found in [of_open.get(currency, none)]
        ]

    async def _counted(self, query: str, *values: object) -> Mapping[str, int]:
        rows = await self._fetch(query, *values, LOOKED_AT_MAX + 1)
        counts: dict[str, int] = defaultdict(int, [(row["currency"], row["count"]) for row in rows])
        self._require(sum(counts.values()) <= LOOKED_AT_MAX)
        return counts

    async def _hour_from(self, begin: datetime) -> datetime:
        """Return the first hour that is ranked, all of it: the one in which *begin* is, unless there were too many."""
        hour = begin.replace(minute=0)
        behind = await self._fetch(_HOUR_BEHIND, hour, LOOKED_AT_MAX)
        self._require(not behind)
        return behind[0]["next"] if behind else hour

    async def _ranked(
        self, by: Ranked, since: datetime, currency: str | None, parked: Sequence[UUID], limit: int
    ) -> list[TopWallet]:
        flows = await self._fetch(_RANKED_BY[by], since, LOOKED_AT_MAX, currency, list(parked), limit)
        return await self._wallets([row["wallet_id"] for row in flows], flows)

    async def _richest(self, since: datetime, currency: str | None, parked: Sequence[UUID]) -> list[TopWallet]:
        self._require(not await self._fetch(_WALLET_BEHIND, LOOKED_AT_MAX))
        rows = await self._fetch(_RICHEST, LOOKED_AT_MAX, currency, list(parked), TOP_KEPT)
        found = [row["wallet_id"] for row in rows]
        return await self._wallets(found, await self._fetch(_FLOWS, found, since))

    async def _wallets(self, wallet_ids: Sequence[UUID], flows: Sequence[asyncpg.Record]) -> list[TopWallet]:
        """Return the wallets in the order of *wallet_ids*, without those that the ledger's tables do not have yet."""
        known = {row["wallet_id"]: row for row in await self._fetch(_WALLETS, wallet_ids)}
        by_wallet = {row["wallet_id"]: row for row in flows}
        none = {"entries": 0, "credits": 0, "debits": 0}
        return [
            TopWallet(
                wallet_id=wallet_id,
                owner_id=known[wallet_id]["owner_id"],
                currency=known[wallet_id]["currency"],
                entries=flow["entries"],
                credits_minor=int(flow["credits"]),
                debits_minor=int(flow["debits"]),
                posted_minor=known[wallet_id]["posted_minor"],
            )
            for wallet_id in wallet_ids
            if wallet_id in known
            for flow in [by_wallet.get(wallet_id, none)]
        ]

    def _require(self, is_complete: bool) -> None:  # noqa: FBT001  one thing it is about
        self._is_complete = self._is_complete and is_complete
