"""Finding entries by their terms: newest first, within a budget of work, whatever was asked for.

The planner is not left to choose. For a common word the newest entries of the scope are looked through, for a rare one
the index on terms; each takes seconds where the other takes a millisecond. So a bounded stretch of the newest is looked
through first, then the index is asked, within a time, and where that is too short the next stretch is looked through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from servicekit.clock import monotonic_s
from servicekit.conditions import Where
from servicekit.postgres import BY_INDEX, Connection
from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.domain.term_query import TermQuery
from transaction_history.indexing.projection import INDEX

STRETCH_ROWS: Final = 2_000
BUDGET_S: Final = 0.060
"""How long a request may ask the database."""
TERMS_BEGIN_S: Final = 0.030
"""Later in a request the index on terms is not asked any more: a common word could take all that is left."""
TERMS_MS: Final = 40
"""A common word's entries of one segment take longer than this; then its newest are looked through instead."""
SESSION: Final = {
    **BY_INDEX,
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "statement_timeout": "1s",
}
"""How sessions that search are set: in the order of an index, by plans that are kept."""
SEGMENTS_MAX: Final = 64
BRANCHES_MAX: Final = 20
"""So many owners' or wallets' newest are merged; of more, the tenant's are looked through."""
SEGMENTS_FIRST: Final = 16
GROUPS_MAX: Final = 3
"""More alternatives narrow the candidates no further; all are checked after reading."""
_ENTRIES_WITH_TERMS: Final = f"select * from {INDEX}.entries_with_terms({', '.join(f'${n}' for n in range(1, 17))})"
_FIRST: Final = UUID(int=0)
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)


class Position(NamedTuple):
    """Where a search stands: what comes before this is still to be looked through."""

    at: datetime
    event_id: UUID


END: Final = Position(_END, _FIRST)
"""Before everything was looked through."""


class Key(NamedTuple):
    """Where an entry stands in the ledger's tables."""

    wallet_id: UUID
    occurred_at: datetime
    version: int
    event_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is looked for: *owners* and *wallets* are the scope, None is all of the tenant's.

    *terms* are those of the filter, *scoped* those and the scope's.
    """

    tenant_id: UUID
    owners: tuple[str, ...] | None
    wallets: tuple[UUID, ...] | None
    asked: EntryFilter
    terms: TermQuery
    scoped: TermQuery

    @property
    def currencies(self) -> list[str] | None:
        """The currencies that entries are of; None is every one."""
        query = self.asked.query
        found = [*self.asked.currencies] or ([] if query is None else [*query.currencies])
        return found or None

    @property
    def sign(self) -> int | None:
        """The sign of the amounts; None is either."""
        return None if self.asked.direction is None else 1 if self.asked.direction == "in" else -1

    @property
    def from_at(self) -> datetime:
        """The instant from which on entries are looked for."""
        return self.asked.from_at or datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates, newest first, and where the search stands; None where everything was looked through."""

    keys: Sequence[Key]
    position: Position | None


class Budget:
    """How long a request has asked the database."""

    def __init__(self) -> None:
        self._began_s = monotonic_s()

    @property
    def is_left(self) -> bool:
        """Whether the newest may be looked through once more."""
        return monotonic_s() - self._began_s < BUDGET_S

    @property
    def is_early(self) -> bool:
        """Whether the index on terms may be asked."""
        return monotonic_s() - self._began_s < TERMS_BEGIN_S


async def find(connection: Connection, asked: Asked, position: Position, limit: int, budget: Budget) -> Found:
    """Return up to *limit* candidates before *position*: at least one stretch is looked through.

    *connection* is one that shows the tenant.
    """
    keys: list[Key] = []
    stands: Position | None = position
    while stands is not None and len(keys) < limit:
        begins_at = await _segment(connection, asked, stands)
        if begins_at is None:
            return Found(keys, None)
        found = await _stretch(connection, asked, begins_at, stands, limit - len(keys))
        keys += found.keys
        stands = found.position
        if stands is not None and len(keys) < limit and not asked.scoped.is_empty:
            found = await _by_terms(connection, asked, stands, limit - len(keys), budget)
            keys += found.keys
            stands = found.position
        if not budget.is_left:
            break
    return Found(keys, stands)


async def _segment(connection: Connection, asked: Asked, position: Position) -> datetime | None:
    """Return when the segment begins that *position* stands in or behind."""
    begins_at: datetime | None = await connection.fetchval(
        f"""select begins_at from {INDEX}.search_segment
            where is_used and ends_at > $1 and (begins_at, $2::uuid) < ($3, $4) order by begins_at desc limit 1""",
        asked.from_at,
        _FIRST,
        *position,
    )
    return begins_at


async def _stretch(connection: Connection, asked: Asked, begins_at: datetime, position: Position, limit: int) -> Found:
    """Look through the newest entries of the scope before *position* in the segment that begins at *begins_at*."""
    statement, values = stretch_statement(asked, begins_at, position, limit)
    *hits, seen = await connection.fetch(statement, *values)
    keys = [Key(*record[:4]) for record in hits]
    if len(keys) == limit:
        return Found(keys, Position(keys[-1].occurred_at, keys[-1].event_id))
    if seen["rows"] < STRETCH_ROWS:
        return Found(keys, _before(begins_at, asked))
    return Found(keys, Position(seen["occurred_at"], seen["event_id"]))


def stretch_statement(
    asked: Asked, begins_at: datetime, position: Position, limit: int
) -> tuple[str, Sequence[object]]:
    """Return what looks through a stretch, with its values; its last row tells how many rows, and the oldest one."""
    where = Where({})
    tenant = where.value(asked.tenant_id)
    bounds = (
        f"tenant_id = {tenant} and occurred_at >= {where.value(max(begins_at, asked.from_at))}"
        f" and (occurred_at, event_id) < ({where.value(position.at)}, {where.value(position.event_id)})"
    )
    newest = f"order by occurred_at desc, event_id desc limit {STRETCH_ROWS}"
    columns = "wallet_id, occurred_at, version, event_id, owner_id, currency, amount_minor, terms"
    branches = [
        f"(select {columns} from {INDEX}.search_entry where {bounds}{scope} {newest})"
        for scope in _branches(asked, where)
    ]
    matching = _matching(asked, where)
    return (
        f"""
        with w as materialized (select * from ({" union all ".join(branches)}) as newest {newest}),
             hit as (select * from w where {matching}
                     order by occurred_at desc, event_id desc limit {where.value(limit)}),
             oldest as (select occurred_at, event_id from w order by occurred_at, event_id limit 1)
        select wallet_id, occurred_at, version, event_id, null::bigint as rows from hit
        union all
        select null, (select occurred_at from oldest), null, (select event_id from oldest), (select count(*) from w)""",
        where.values,
    )


def _branches(asked: Asked, where: Where) -> list[str]:
    """Return the conditions of the scope's parts: each part is read in the order of an index, and they are merged."""
    if asked.wallets is not None and len(asked.wallets) <= BRANCHES_MAX:
        among = "" if asked.owners is None else f" and {where.value(list(asked.owners))}::text[] @> array[owner_id]"
        return [f" and wallet_id = {where.value(each)}{among}" for each in asked.wallets]
    if asked.owners is not None and len(asked.owners) <= BRANCHES_MAX:
        return [f" and owner_id = {where.value(each)}" for each in asked.owners]
    return [""]


def _matching(asked: Asked, where: Where) -> str:
    least, most = asked.asked.amounts
    conditions = [f"abs(amount_minor) between {where.value(least)} and {where.value(most)}"]
    if asked.owners is not None and len(asked.owners) > BRANCHES_MAX:
        conditions.append(f"owner_id = any ({where.value(list(asked.owners))}::text[])")
    if asked.sign is not None:
        conditions.append(f"sign(amount_minor) = {where.value(asked.sign)}")
    if asked.currencies is not None:
        conditions.append(f"currency = any ({where.value(asked.currencies)}::text[])")
    if asked.terms.required:
        conditions.append(f"terms @> {where.value(list(asked.terms.required))}::bigint[]")
    conditions += [f"terms && {where.value(list(group))}::bigint[]" for group in asked.terms.any_of]
    return " and ".join(conditions)


async def _by_terms(connection: Connection, asked: Asked, position: Position, limit: int, budget: Budget) -> Found:
    """Ask the index on terms, first for few segments, then for four times as many each time, while there is time."""
    keys: list[Key] = []
    stands: Position | None = position
    segments = SEGMENTS_FIRST
    while stands is not None and len(keys) < limit and budget.is_early:
        found = await _in_segments(connection, asked, stands, limit - len(keys), segments)
        if found is None:
            break
        keys += found.keys
        stands = found.position
        segments = min(SEGMENTS_MAX, 4 * segments)
    return Found(keys, stands)


async def _in_segments(
    connection: Connection, asked: Asked, position: Position, limit: int, segments: int
) -> Found | None:
    """Return what the index finds in so many segments before *position*; None where that takes too long."""
    groups = [list(group) for group in asked.scoped.any_of[:GROUPS_MAX]]
    values = (
        list(asked.scoped.required),
        *groups,
        *[None] * (GROUPS_MAX - len(groups)),
        None if asked.owners is None else list(asked.owners),
        None if asked.wallets is None else list(asked.wallets),
        asked.currencies,
        *asked.asked.amounts,
        asked.sign,
        asked.from_at,
        *position,
        segments,
        limit,
        TERMS_MS // 2,
    )
    try:
        async with connection.transaction():
            await connection.execute(f"set local statement_timeout = {TERMS_MS}")
            *hits, stood = await connection.fetch(_ENTRIES_WITH_TERMS, *values)
    except asyncpg.QueryCanceledError:
        return None
    keys = [Key(*record[:4]) for record in hits]
    if len(keys) == limit:
        return Found(keys, Position(keys[-1].occurred_at, keys[-1].event_id))
    return Found(keys, None if stood["reached"] is None else _before(stood["reached"], asked))


def _before(begins_at: datetime, asked: Asked) -> Position | None:
    """Return where the search stands once the segment that begins then is done."""
    return None if begins_at <= asked.from_at else Position(begins_at, _FIRST)
