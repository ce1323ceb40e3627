"""What a closing looks at: which wallets are due, and what the ledger has of them up to their periods' ends."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from servicekit.postgres import Transaction
from transaction_history.domain.closing import Account, Terms
from transaction_history.domain.statement import OpenHold, TypeTotal
from transaction_history.domain.totals import Standing
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.statements.rows import terms_of, totals_of

if TYPE_CHECKING:
    import asyncpg

HOLDS_TOLD: Final = 20
HOLDS_LOOKED_AT: Final = 1_000
"""Of a wallet's newest holds: there is no end to those that are settled."""

# One statement after the other, by keys alone: tables that were small when they were last analysed are not scanned.
BY_KEYS: Final = "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_hashjoin = off"
_IS_PARKED: Final = (
    f"exists (select from servicekit.parked_subject p where p.projection = '{SCHEMA}' and p.subject = a.wallet_id)"
)
DUE: Final = f"""
    select due.* from unnest($1::smallint[], $2::timestamptz[]) as h (shard, until)
    cross join lateral (
        select a.*, a.due_at as ends_at, h.until from history_jobs.statement_account a
        where a.shard = h.shard and a.due_at <= h.until and not {_IS_PARKED}
        order by a.due_at, a.wallet_id limit $3 for no key update of a skip locked) as due
    limit $3"""
_NAMED: Final = """
    select a.*, $2::timestamptz as ends_at, $3::timestamptz as until from history_jobs.statement_account a
    where a.wallet_id = $1 for no key update of a"""
# The last entry before the period's end; and of those that came too late, the last one.
_LAST: Final = f"""
    select e.version, e.occurred_at, e.posted_minor_after, e.held_minor_after, e.entries_after, e.credits_after,
           e.debits_after, e.fees_after
    from {SCHEMA}.entry e
    where e.wallet_id = a.wallet_id and e.version > a.version and e.occurred_at <= w.last_entry_at
      and e.occurred_at >= coalesce(a.occurred_at, w.first_entry_at) and e.occurred_at < {{before}}
    order by e.occurred_at desc, e.version desc limit 1"""
_LOOK: Final = f"""
    with a as materialized ({{accounts}})
    select a.*, w.currency, w.private, w.opened_at, case when w.status = 'closed' then w.last_at end as closed_at,
           s.id, s.time_zone, s.locale, s.schedule, s.formats,
           last.version as last_version, last.occurred_at as last_at, last.posted_minor_after, last.held_minor_after,
           last.entries_after, last.credits_after, last.debits_after, last.fees_after,
           greatest(late.entries_after - a.entries, 0) as late_entries
    from a
    join {SCHEMA}.wallet w on w.wallet_id = a.wallet_id
    left join lateral (
        select o.* from history_jobs.statement_setting o
        where o.tenant_id = a.tenant_id and o.owner_id in (a.owner_id, '')
        order by o.owner_id desc limit 1) as s on true
    left join lateral ({_LAST.format(before="a.ends_at")}) as last on true
    left join lateral ({_LAST.format(before="a.ended_at")}) as late on true"""
_TYPES: Final = f"""
    select n.wallet_id, e.transaction_type, e.entries, e.credits, e.debits
    from unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::timestamptz[], $5::bigint[])
        as n (wallet_id, after_at, after_version, last_at, last_version)
    cross join lateral (
        select e.transaction_type, count(*) as entries,
               coalesce(sum(e.amount_minor) filter (where e.amount_minor > 0), 0) as credits,
               coalesce(-sum(e.amount_minor) filter (where e.amount_minor < 0), 0) as debits
        from {SCHEMA}.entry e
        where e.wallet_id = n.wallet_id and e.occurred_at between n.after_at and n.last_at
          and e.version > n.after_version and e.version <= n.last_version and e.entry_index is not null
        group by e.transaction_type) as e"""
_NTH: Final = f"""
    select e.occurred_at, e.version, e.entries_after from {SCHEMA}.entry e
    where e.wallet_id = $1 and e.occurred_at between $2 and $4 and e.version > $3
    order by e.occurred_at, e.version offset $5 - 1 limit 1"""
_HOLDS: Final = f"""
    select n.wallet_id, h.* from unnest($1::uuid[], $2::timestamptz[]) as n (wallet_id, ends_at)
    cross join lateral (
        select h.hold_id, h.placed_at, h.expires_at, h.amount_minor - h.captured_minor - h.released_minor as left_minor,
               h.amount_minor, h.status = 'open' as is_open, count(*) over () as count
        from (select * from {SCHEMA}.hold h where h.wallet_id = n.wallet_id
              order by h.hold_id desc limit {HOLDS_LOOKED_AT}) as h
        where h.placed_at < n.ends_at and (h.status = 'open' or h.last_at >= n.ends_at)
        order by h.hold_id limit {HOLDS_TOLD}) as h
    order by n.wallet_id, h.hold_id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An entry's place in its wallet, and how many entries the wallet had with it."""

    occurred_at: datetime
    version: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A wallet whose period ends at *ends_at*, how the ledger has it until then, and by which *terms* it is closed.

    *terms* is None where nobody has said anything, *retimed* where others hold than *ends_at* was reckoned by. Up to
    *horizon* periods of its shard may end. *summed* are types of entries up to *place*, added up before. *late* came
    after the period before was closed.
    """

    account: Account
    ends_at: datetime
    terms: Terms | None
    is_retimed: bool
    currency: str
    private: str | None
    closed_at: datetime | None
    horizon: datetime
    standing: Standing
    late: int
    summed: tuple[TypeTotal, ...]
    place: Place

    @property
    def unsummed(self) -> int:
        """How many entries are not added up by type yet."""
        return self.standing.entries - self.place.entries


async def due(tx: Transaction, horizons: Mapping[int, datetime], limit: int) -> Sequence[Looked]:
    """Return up to *limit* wallets whose periods ended by *horizons* (shard to instant), held until *tx* ends.

    Those that are parked, or that another works on, are left out.
    """
    query = _LOOK.format(accounts=DUE)
    shards = sorted(horizons)
    return await _looked(tx, query, shards, [horizons[shard] for shard in shards], limit)


async def named(tx: Transaction, wallet_id: UUID, ends_at: datetime, horizon: datetime) -> Looked | None:
    """Return a wallet whose period is to end at *ends_at*, held until *tx* ends; None where it has no account.

    Up to *horizon* periods of its shard may end.
    """
    found = await _looked(tx, _LOOK.format(accounts=_NAMED), wallet_id, ends_at, horizon)
    return found[0] if found else None


async def types(tx: Transaction, wallets: Collection[Looked]) -> Mapping[UUID, tuple[TypeTotal, ...]]:
    """Return by wallet what its entries come to that are not added up yet, by type."""
    asked = [each for each in wallets if each.unsummed]
    upto = [(each.standing.occurred_at, each.standing.version) for each in asked]
    return await _types(tx, asked, upto)


async def next_types(tx: Transaction, busy: Looked, count: int) -> tuple[tuple[TypeTotal, ...], Place]:
    """Return what the next *count* rows of a *busy* wallet come to, by type, and the place of the last of them."""
    row = await tx.connection.fetchrow(
        _NTH,
        busy.account.wallet_id,
        *(busy.place.occurred_at, busy.place.version, busy.standing.occurred_at, count),
    )
    assert row is not None, "a busy wallet has more entries than that"
    place = Place(occurred_at=row["occurred_at"], version=row["version"], entries=row["entries_after"])
    found = await _types(tx, [busy], [(place.occurred_at, place.version)])
    return found.get(busy.account.wallet_id, ()), place


async def holds(tx: Transaction, wallets: Collection[Looked]) -> Mapping[UUID, tuple[tuple[OpenHold, ...], int]]:
    """Return by wallet the holds that are open at its period's end, and how many more of them there are.

    What was captured or released since is within the amount.
    """
    asked = [each for each in wallets if each.standing.held_minor]
    if not asked:
        return {}
    rows = await tx.connection.fetch(
        _HOLDS, [each.account.wallet_id for each in asked], [each.ends_at for each in asked]
    )
    found: dict[UUID, tuple[tuple[OpenHold, ...], int]] = {}
    for row in rows:
        before, _ = found.get(row["wallet_id"], ((), 0))
        hold = OpenHold(
            hold_id=UUID(int=row["hold_id"].int),
            placed_at=row["placed_at"],
            amount=row["left_minor"] if row["is_open"] else row["amount_minor"],
            expires_at=row["expires_at"],
        )
        found[row["wallet_id"]] = (*before, hold), row["count"] - len(before) - 1
    return found


async def _types(
    tx: Transaction, asked: Sequence[Looked], upto: Sequence[tuple[datetime | None, int]]
) -> Mapping[UUID, tuple[TypeTotal, ...]]:
    if not asked:
        return {}
    rows = await tx.connection.fetch(
        _TYPES,
        [each.account.wallet_id for each in asked],
        [each.place.occurred_at for each in asked],
        [each.place.version for each in asked],
        [at for at, _ in upto],
        [version for _, version in upto],
    )
    found: dict[UUID, list[TypeTotal]] = {}
    for wallet_id, kind, entries, credits_minor, debits_minor in rows:
        total = TypeTotal(transaction_type=kind, entries=entries, credits=int(credits_minor), debits=int(debits_minor))
        found.setdefault(wallet_id, []).append(total)
    return {wallet_id: tuple(totals) for wallet_id, totals in found.items()}


async def _looked(tx: Transaction, query: str, *values: object) -> Sequence[Looked]:
    await tx.connection.execute(BY_KEYS)
    return [_of(row) for row in await tx.connection.fetch(query, *values)]


def _of(row: "asyncpg.Record") -> Looked:
    before = Standing(
        version=row["version"],
        occurred_at=row["occurred_at"],
        posted_minor=row["posted_minor"],
        held_minor=row["held_minor"],
        entries=row["entries"],
        credits_minor=int(row["credits"]),
        debits_minor=int(row["debits"]),
        fees_minor=int(row["fees"]),
    )
    account = Account(
        **{
            name: row[name]
            for name in ("wallet_id", "tenant_id", "owner_id", "number", "ended_at", "due_at", "opened_at")
        },
        is_ended=row["is_ended"],
        standing=before,
    )
    terms = None if row["id"] is None else terms_of(row)
    is_summed = row["summed_at"] is not None and row["ends_at"] == row["due_at"]
    return Looked(
        account=account,
        ends_at=row["ends_at"],
        terms=terms,
        is_retimed=row["id"] != row["setting_id"],
        currency=row["currency"],
        private=row["private"],
        closed_at=row["closed_at"],
        horizon=row["until"],
        standing=before if row["last_version"] is None else _after(row),
        late=row["late_entries"] or 0,
        summed=totals_of(row["summed"]) if is_summed else (),
        place=Place(
            occurred_at=row["summed_at"] if is_summed else before.occurred_at or account.opened_at,
            version=row["summed_version"] if is_summed else before.version,
            entries=row["summed_entries"] if is_summed else before.entries,
        ),
    )


def _after(row: "asyncpg.Record") -> Standing:
    return Standing(
        version=row["last_version"],
        occurred_at=row["last_at"],
        posted_minor=row["posted_minor_after"],
        held_minor=row["held_minor_after"],
        entries=row["entries_after"],
        credits_minor=int(row["credits_after"]),
        debits_minor=int(row["debits_after"]),
        fees_minor=int(row["fees_after"]),
    )
