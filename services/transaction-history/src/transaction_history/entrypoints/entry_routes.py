"""The routes of entries."""

from collections.abc import Mapping, Sequence
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
from servicekit.http.routes.paging import Page, PageRequest, paged, paged_both_ways
from servicekit.principal import Principal
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.entrypoints.bodies import EntriesBody, TotalBody, entry_body
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
from transaction_history.reads.entries import list_entries
from transaction_history.reads.listing import TimedPosition
from transaction_history.reads.search import SearchQueries
from transaction_history.reads.search_index import Position
from transaction_history.reads.view import Views
from transaction_history.reads.wallets import known_wallet

T = TypeVar("T", UUID, str)
Include = Annotated[Literal["total"] | None, Query(description="`total`: how many there are, counted up to 10,000.")]

_FILTERS: Final = (
    "Filtered by wallet, owner, transaction and time, either end first and walked both ways. Other filters are served "
    "by the index, newest first and forwards: an answer is as fresh as that, and a page may be short."
)
_FROM_ENTRIES: Final[Sequence[Link]] = (
    ("get_transaction", {"transaction_id": "$response.body#/data/0/transaction_id"}),
    (
        "get_balance_at",
        {"wallet_id": "$response.body#/data/0/wallet_id", "at": "$response.body#/data/0/occurred_at"},
    ),
)


def entry_routes(views: Views, search: SearchQueries) -> Sequence[Route]:
    """Return the routes of entries: a wallet's, an owner's, and those of all that the caller may see."""
    handlers = _EntryHandlers(views, search)
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
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
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
            problems=[problems.NOT_FOUND, problems.WALLET_PARKED],
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
            problems=[problems.WALLET_PARKED],
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
    ) -> EntriesBody:
        known = wallet_id_of(wallet_id)
        wanted = replace(filtered, wallet_ids=_narrowed(known, filtered.wallet_ids, "wallet_id"))
        return await self._listed(_Asked(caller, wanted, order, include, page, min_position, known), response)

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
    ) -> EntriesBody:
        wanted = replace(filtered, owner_ids=_narrowed(owner_id, filtered.owner_ids, "owner_id"))
        return await self._listed(_Asked(caller, wanted, order, include, page, min_position), response)

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
    ) -> EntriesBody:
        return await self._listed(_Asked(caller, filtered, order, include, page, min_position), response)

    async def _listed(self, asked: _Asked, response: Response) -> EntriesBody:
        _refuse_disorder(asked)
        return await (self._by_key if asked.wanted.is_by_key else self._by_terms)(asked, response)

    async def _by_key(self, asked: _Asked, response: Response) -> EntriesBody:
        caller = asked.caller
        query = ("entries", caller.tenant_id, caller.owners, asked.wanted, asked.order)
        place = paged_both_ways(asked.page, TimedPosition, *query)
        is_newest, is_counted = asked.order == "newest", asked.include is not None
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(
                caller,
                asked.min_position,
                lambda view: list_entries(
                    view,
                    asked.wanted,
                    place.walk,
                    newest_first=is_newest,
                    is_counted=is_counted,
                    of_known=asked.of_known,
                ),
            )
        tell_freshness(response, found.freshness)
        shown, total = place.show(found.page), found.total
        return EntriesBody(
            data=[entry_body(row, caller) for row in shown.rows],
            next_cursor=shown.next_cursor,
            prev_cursor=shown.prev_cursor,
            searched_to=None,
            total=None if total is None else TotalBody(count=total.count, exact=total.is_exact),
            parked=parked_body(found.parked),
        )

    async def _by_terms(self, asked: _Asked, response: Response) -> EntriesBody:
        caller = asked.caller
        query = ("entries by terms", caller.tenant_id, caller.owners, asked.wanted)
        place = paged(asked.page, TimedPosition, *query)
        before, known = None if place.position is None else Position(*place.position), asked.of_known
        with read_raises_as_problems(PROBLEM_MAP):
            if known is not None:
                await self.views.answer(caller, asked.min_position, lambda view: known_wallet(view, known))
            hits = await self.search.newest(
                caller, asked.wanted, before=before, limit=asked.page.limit, min_position=asked.min_position
            )
        tell_freshness(response, hits.freshness)
        return EntriesBody(
            data=[entry_body(entry.row, caller) for entry in hits.entries],
            next_cursor=None if hits.position is None else place.cursor(TimedPosition(*hits.position)),
            prev_cursor=None,
            searched_to=None if hits.position is None else rfc3339(hits.position.at),
            total=None,
            parked=parked_body(hits.parked),
        )


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
