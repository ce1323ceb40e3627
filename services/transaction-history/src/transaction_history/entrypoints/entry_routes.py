"""The routes of entries."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, TypeVar
from uuid import UUID

from fastapi import Query, Response

from contracts import problems, scopes
from contracts.envelope import rfc3339
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, MinPosition, PathId
from servicekit.http.routes.paging import LIMIT_MAX, Page, PageRequest, paged, paged_both_ways
from servicekit.principal import Principal
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from servicekit.read_model.walking import Walk
from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.domain.private_text import PrivateText, texts_of
from transaction_history.domain.tables import RowWriter
from transaction_history.entrypoints.bodies import CountBody, EntriesBody, entry_body
from transaction_history.entrypoints.entry_streams import (
    CHUNK_ROWS,
    MEDIA_TYPES,
    ROWS_MAX,
    Some,
    Streamed,
    Streams,
    stream_answer,
    too_many,
)
from transaction_history.entrypoints.filters import Filtered
from transaction_history.entrypoints.parameters import (
    HISTORY,
    NONE_OF_OTHERS,
    NOT_THEIRS,
    PROBLEM_MAP,
    Order,
    OwnerId,
    wallet_id_of,
)
from transaction_history.entrypoints.parked import parked_body
from transaction_history.reads.entries import COUNTED_MAX, Entries, list_entries
from transaction_history.reads.listing import TimedPosition
from transaction_history.reads.search import Hits, SearchQueries
from transaction_history.reads.search_index import Position
from transaction_history.reads.view import Views
from transaction_history.reads.wallets import known_wallet

T = TypeVar("T", UUID, str)
Include = Annotated[Literal["total"] | None, Query(description="`total`: how many there are, counted up to 10,000.")]

_FILTERS: Final = (
    "Filtered by wallet, owner, transaction and time, either end first and walked both ways. Other filters are served "
    "by the index, newest first and forwards: an answer is as fresh as that, and a page may be short. With `Accept: "
    "text/csv` or `application/jsonl` all entries are one answer that streams, up to 100,000."
)
_FROM_ENTRIES: Final[Sequence[Link]] = (
    ("get_transaction", {"transaction_id": "$response.body#/data/0/transaction_id"}),
    (
        "get_balance_at",
        {"wallet_id": "$response.body#/data/0/wallet_id", "at": "$response.body#/data/0/occurred_at"},
    ),
)


def entry_routes(views: Views, search: SearchQueries, private_text: PrivateText) -> Sequence[Route]:
    """Return the routes of entries: a wallet's, an owner's, and those of all that the caller may see."""
    handlers = _EntryHandlers(views, search, private_text, Streams())
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/wallets/{{wallet_id}}/entries",
            handler=handlers.of_wallet,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="list_wallet_entries",
            summary="A wallet's entries",
            description=f"{_FILTERS} {NOT_THEIRS}",
            tags=["history"],
            response=EntriesBody,
            media_types=MEDIA_TYPES,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED, problems.TOO_MANY_ROWS],
            links=_FROM_ENTRIES,
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/owners/{{owner_id}}/entries",
            handler=handlers.of_owner,
            access=Access(scopes.HISTORY_READ, "{owner_id}", Cost.READ),
            operation_id="list_owner_entries",
            summary="An owner's entries",
            description=f"{_FILTERS} {NONE_OF_OTHERS}",
            tags=["history"],
            response=EntriesBody,
            media_types=MEDIA_TYPES,
            problems=[problems.NOT_FOUND, problems.WALLET_PARKED, problems.TOO_MANY_ROWS],
            links=_FROM_ENTRIES,
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/entries",
            handler=handlers.of_tenant,
            access=Access(scopes.HISTORY_READ, EACH_ROW, Cost.READ),
            operation_id="list_entries",
            summary="Entries",
            description=f"{_FILTERS} An owner whose id no path can hold is asked for here. {NONE_OF_OTHERS}",
            tags=["history"],
            response=EntriesBody,
            media_types=MEDIA_TYPES,
            problems=[problems.WALLET_PARKED, problems.TOO_MANY_ROWS],
            links=_FROM_ENTRIES,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a list of entries, and by whom."""

    caller: Principal
    wanted: EntryFilter
    order: str
    include: str | None
    page: PageRequest
    min_position: Mapping[int, int]
    of_known: UUID | None = None
    """The wallet that the path names: there is an answer only where it is known."""


@dataclass(frozen=True, slots=True)
class _EntryHandlers:
    views: Views
    search: SearchQueries
    private_text: PrivateText
    streams: Streams

    async def of_wallet(
        self,
        *,
        wallet_id: PathId,
        caller: Caller,
        filtered: Filtered,
        page: Page,
        min_position: MinPosition,
        response: Response,
        order: Order = "newest",
        include: Include = None,
        streamed: Streamed = None,
    ) -> EntriesBody | Response:
        known = wallet_id_of(wallet_id)
        wanted = replace(filtered, wallet_ids=_narrowed(known, filtered.wallet_ids, "wallet_id"))
        return await self._listed(_Asked(caller, wanted, order, include, page, min_position, known), response, streamed)

    async def of_owner(
        self,
        *,
        owner_id: OwnerId,
        caller: Caller,
        filtered: Filtered,
        page: Page,
        min_position: MinPosition,
        response: Response,
        order: Order = "newest",
        include: Include = None,
        streamed: Streamed = None,
    ) -> EntriesBody | Response:
        wanted = replace(filtered, owner_ids=_narrowed(owner_id, filtered.owner_ids, "owner_id"))
        return await self._listed(_Asked(caller, wanted, order, include, page, min_position), response, streamed)

    async def of_tenant(
        self,
        *,
        caller: Caller,
        filtered: Filtered,
        page: Page,
        min_position: MinPosition,
        response: Response,
        order: Order = "newest",
        include: Include = None,
        streamed: Streamed = None,
    ) -> EntriesBody | Response:
        return await self._listed(_Asked(caller, filtered, order, include, page, min_position), response, streamed)

    async def _listed(self, asked: _Asked, response: Response, streamed: RowWriter | None) -> EntriesBody | Response:
        _refuse_disorder(asked)
        if streamed is not None:
            _refuse_page(asked)
            with read_raises_as_problems(PROBLEM_MAP):
                chunks = self._chunks_by_key(asked) if asked.wanted.is_by_key else self._chunks_by_terms(asked)
                return await stream_answer(self.streams, asked.caller, streamed, chunks)
        return await (self._by_key if asked.wanted.is_by_key else self._by_terms)(asked, response)

    async def _by_key(self, asked: _Asked, response: Response) -> EntriesBody:
        caller = asked.caller
        query = ("entries", caller.tenant_id, caller.owners, asked.wanted, asked.order)
        place = paged_both_ways(asked.page, TimedPosition, *query)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self._entries(asked, place.walk, None if asked.include is None else COUNTED_MAX)
        tell_freshness(response, found.freshness)
        shown, total = place.show(found.page), found.total
        return EntriesBody(
            data=[
                entry_body(row, private, caller)
                for row, private in zip(shown.rows, await texts_of(self.private_text, shown.rows), strict=True)
            ],
            next_cursor=shown.next_cursor,
            prev_cursor=shown.prev_cursor,
            searched_to=None,
            total=None if total is None else CountBody(count=total.count, exact=total.is_exact),
            parked=parked_body(found.parked),
        )

    async def _by_terms(self, asked: _Asked, response: Response) -> EntriesBody:
        caller = asked.caller
        query = ("entries by terms", caller.tenant_id, caller.owners, asked.wanted)
        place = paged(asked.page, TimedPosition, *query)
        before = None if place.position is None else Position(*place.position)
        with read_raises_as_problems(PROBLEM_MAP):
            hits = await self._hits(asked, before, asked.page.limit)
        tell_freshness(response, hits.freshness)
        return EntriesBody(
            data=[entry_body(entry.row, entry.private, caller) for entry in hits.entries],
            next_cursor=None if hits.position is None else place.cursor(TimedPosition(*hits.position)),
            prev_cursor=None,
            searched_to=None if hits.position is None else rfc3339(hits.position.at),
            total=None,
            parked=parked_body(hits.parked),
        )

    async def _entries(self, asked: _Asked, walk: Walk[TimedPosition], counted_max: int | None = None) -> Entries:
        return await self.views.answer(
            asked.caller,
            asked.min_position,
            lambda view: list_entries(
                view,
                asked.wanted,
                walk,
                newest_first=asked.order == "newest",
                counted_max=counted_max,
                of_known=asked.of_known,
            ),
        )

    async def _hits(self, asked: _Asked, before: Position | None, limit: int) -> Hits:
        known = asked.of_known
        if known is not None:
            await self.views.answer(asked.caller, asked.min_position, lambda view: known_wallet(view, known))
        return await self.search.newest(
            asked.caller, asked.wanted, before=before, limit=limit, min_position=asked.min_position
        )

    async def _chunks_by_key(self, asked: _Asked) -> AsyncGenerator[Some, None]:
        """Yield the entries chunk by chunk, the first even if it is empty; raises Problem where there are too many."""
        position: TimedPosition | None = None
        while True:
            walk = Walk(position, is_back=False, is_included=False, limit=CHUNK_ROWS)
            found = await self._entries(asked, walk, ROWS_MAX if position is None else None)
            if found.total is not None and not found.total.is_exact:
                raise too_many()
            rows = found.page.rows
            yield Some(rows, await texts_of(self.private_text, rows), found.freshness)
            if len(rows) < CHUNK_ROWS:
                return
            position = found.page.position_of(rows[-1])

    async def _chunks_by_terms(self, asked: _Asked) -> AsyncGenerator[Some, None]:
        """Yield the entries as often as a search has found some, the first time even if it has not."""
        position, is_first = None, True
        while position is not None or is_first:
            hits = await self._hits(asked, position, LIMIT_MAX)
            position, is_first = hits.position, False
            yield Some([entry.row for entry in hits.entries], [entry.private for entry in hits.entries], hits.freshness)


def _refuse_page(asked: _Asked) -> None:
    """Raise Problem `invalid_query` for what a stream has not: places to go on from, and a total."""
    if asked.page.cursor is not None:
        raise invalid_query(FieldError("/cursor", "contradiction", "An answer that streams has all entries."))
    if asked.include is not None:
        raise invalid_query(FieldError("/include", "contradiction", "An answer that streams has no total."))


def _refuse_disorder(asked: _Asked) -> None:
    """Raise Problem `invalid_query` for an order or a total that the index cannot give."""
    if asked.wanted.is_by_key:
        return
    detail = "It goes with filters by wallet, owner, transaction and time alone."
    if asked.order != "newest":
        raise invalid_query(FieldError("/order", "invalid_value", detail))
    if asked.include is not None:
        raise invalid_query(FieldError("/include", "invalid_value", detail))


def _narrowed(one: T, given: Sequence[T], name: str) -> tuple[T, ...]:
    """Return what the path names as a filter; raise Problem `invalid_query` where the query names another."""
    if given and tuple(given) != (one,):
        raise invalid_query(FieldError(f"/{name}", "contradiction", "The path names another."))
    return (one,)
