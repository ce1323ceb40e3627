"""Reading a list's page: by a key in its order, no further than a bound where other filters leave rows out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from servicekit.conditions import Where
from servicekit.read_model.walking import Walk

if TYPE_CHECKING:
    import asyncpg

P = TypeVar("P", bound=tuple[Any, ...])

LOOKED_AT_MAX: Final = 2_000
"""How many rows a page is looked for among: what is beyond is for the next page, so that a page may be short."""


class Fetches(Protocol):
    """Reads rows for one caller."""

    async def fetch(self, query: str, asked: Where) -> "list[asyncpg.Record]":
        """Return the rows of *query*, whose placeholders are those of *asked*."""
        ...


class VersionPosition(NamedTuple):
    """Where in a wallet's past: versions ascend with time."""

    occurred_at: datetime
    version: int


class TimedPosition(NamedTuple):
    """When, and which of that instant: the event, wallet or transaction."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[P]):
    """A list: *selected* columns of *table*, in the order of the columns *key*, which an index serves."""

    selected: str
    table: str
    key: Sequence[str]
    newest_first: bool = True


@dataclass(frozen=True, slots=True)
class Each:
    """What rows are of one of: *values* of the *column*, whose type is *kind*."""

    column: str
    kind: str
    values: Collection[object]


@dataclass(frozen=True, slots=True)
class Found(Generic[P]):
    """The rows of a page, nearest first, and where looking ended before the page was full; None at the list's end."""

    rows: Sequence[Sequence[Any]]
    looked_to: P | None


async def read_page(
    view: Fetches,
    listing: Listing[P],
    walk: Walk[P],
    asked: Where,
    *,
    others: Sequence[str] = (),
    each: Each | None = None,
) -> Found[P]:
    """Return the rows of *walk* that fulfil *asked*, which the list's key serves, and *others*, which it does not.

    The placeholders of *others* are values of *asked*; they may name a row `looked_at`. With *each* the rows
    are of one of several, and the key, behind it, is that of each.
    """
    limit = LOOKED_AT_MAX if others else walk.limit
    looking = _looking(listing, walk, asked, each, limit)
    if not others:
        return Found([tuple(record) for record in await view.fetch(looking, asked)], None)
    ordered = _ordered(listing, walk)
    query = f"""
        with looked_at as materialized ({looking}),
             last as (select {", ".join(listing.key)} from looked_at {ordered} offset {LOOKED_AT_MAX - 1})
        select found.*, last.* from (values (true)) as always (is_one)
        left join last on true
        left join (select true as is_found, * from looked_at where {" and ".join(others)}
                   {ordered} limit {asked.value(walk.limit)}) as found on true
        {_ordered(listing, walk, "found.")}"""
    records = [tuple(record) for record in await view.fetch(query, asked)]
    width = len(listing.key)
    found = [record[1:-width] for record in records if record[0]]
    last = records[0][-width:]
    is_short = len(found) < walk.limit and last[0] is not None
    return Found(found, last if is_short else None)  # type: ignore[arg-type]  # the key's columns are the position


def _looking(listing: Listing[P], walk: Walk[P], asked: Where, each: Each | None, limit: int) -> str:
    """Return the statement of the next *limit* rows by the key."""
    values = None if each is None else f"{asked.value(list(each.values))}::{each.kind}[]"
    if each is not None:
        asked.require(f"{each.column} = o.one")
    in_order = asked.in_order(
        listing.key,
        walk.position,
        descending=_descends(listing, walk),
        limit=limit,
        is_included=walk.is_included,
    )
    rows = f"select {listing.selected} from {listing.table} {asked} {in_order}"
    if values is None:
        return rows
    return f"""
        select {listing.selected} from unnest({values}) as o (one)
        cross join lateral ({rows}) as theirs {_ordered(listing, walk)} limit {limit}"""


def _descends(listing: Listing[P], walk: Walk[P]) -> bool:
    return listing.newest_first is not walk.is_back


def _ordered(listing: Listing[P], walk: Walk[P], prefix: str = "") -> str:
    direction = "desc" if _descends(listing, walk) else "asc"
    return f"order by {', '.join(f'{prefix}{column} {direction}' for column in listing.key)}"
