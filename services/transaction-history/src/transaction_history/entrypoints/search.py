"""The route that searches the history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel

from contracts import problems, scopes
from contracts.envelope import rfc3339
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.problems import ProblemMap
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, MinPosition
from servicekit.http.routes.paging import Page, Paged, paged
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from servicekit.read_model.projected import SubjectParked
from transaction_history.entrypoints.bodies import EntryBody, entry_body
from transaction_history.entrypoints.filters import Searched
from transaction_history.entrypoints.parked import ParkedBody, parked_body
from transaction_history.reads.search import Hits, SearchQueries
from transaction_history.reads.search_index import Position

_PROBLEM_MAP: Final[ProblemMap] = {
    SubjectParked: (problems.WALLET_PARKED, "A wallet of this answer is parked; operators know."),
}
_DESCRIPTION: Final = (
    "Words of description, reference, label, destination and metadata, and ids: all of them, the last one begun from "
    'three characters on. `"a phrase"`, `-word`, `reference:`, `type:`, `counterparty:`, `owner:`, `wallet:`, '
    "`currency:`, `metadata.<key>:` and `amount:>100` narrow it. A page may be short, even empty: `next_cursor` goes "
    "on, and `searched_to` tells how far back it has come. A caller that acts for some owners finds theirs."
)

Stands = tuple[datetime, UUID, int]
"""Where a search goes on: before an entry, and, by relevance, behind so many of what is ranked from there on."""


class Sort(StrEnum):
    """The order of what is found."""

    NEWEST = "newest"
    RELEVANCE = "relevance"


class SearchBody(BaseModel):
    """What was found. *searched_to* is the instant down to which it was looked for; null: all of it was."""

    data: list[EntryBody]
    next_cursor: str | None
    searched_to: str | None
    parked: ParkedBody


SortQuery = Annotated[Sort, Query(description="`relevance` ranks the newest 1,000 that are found.")]


def search_routes(queries: SearchQueries) -> Sequence[Route]:
    """Return the route that searches."""
    return (
        Route(
            method="GET",
            path="/v1/history/search",
            handler=_SearchHandlers(queries).search,
            access=Access(scopes.HISTORY_READ, EACH_ROW, Cost.READ),
            operation_id="search_entries",
            summary="Entries by their words",
            description=_DESCRIPTION,
            tags=["history"],
            response=SearchBody,
            problems=[problems.WALLET_PARKED],
        ),
    )


@dataclass(frozen=True, slots=True)
class _SearchHandlers:
    queries: SearchQueries

    async def search(
        self,
        caller: Caller,
        asked: Searched,
        page: Page,
        *,
        min_position: MinPosition,
        response: Response,
        sort: SortQuery = Sort.NEWEST,
    ) -> SearchBody:
        place: Paged[Stands] = paged(
            page, tuple[datetime, UUID, int], "search", caller.tenant_id, caller.owners, sort, asked
        )
        before = None if place.position is None else Position(*place.position[:2])
        ranked = 0 if place.position is None else place.position[2]
        with read_raises_as_problems(_PROBLEM_MAP):
            if sort is Sort.NEWEST:
                hits = await self.queries.newest(
                    caller, asked, before=before, limit=page.limit, min_position=min_position
                )
                shown, following = hits.entries, None if hits.position is None else (*hits.position, 0)
            else:
                hits = await self.queries.most_relevant(caller, asked, before=before, min_position=min_position)
                shown = hits.entries[ranked : ranked + page.limit]
                following = _behind(hits, before, ranked + page.limit)
        tell_freshness(response, hits.freshness)
        return SearchBody(
            data=[entry_body(entry.row, entry.private, caller) for entry in shown],
            next_cursor=None if following is None else place.cursor(following),
            searched_to=None if hits.position is None else rfc3339(hits.position.at),
            parked=parked_body(hits.parked),
        )


def _behind(hits: Hits, before: Position | None, ranked: int) -> Stands | None:
    """Return where the page after the first *ranked* of *hits* goes on; None where there is none."""
    if ranked < len(hits.entries):
        # What comes meanwhile must not move what is ranked: from the second page on, ranks are those before the newest.
        newest = max((entry.row.occurred_at, entry.row.event_id) for entry in hits.entries)
        first = before or Position(newest[0], UUID(int=newest[1].int + 1))
        return (*first, ranked)
    return None if hits.position is None else (*hits.position, 0)
