"""The routes of entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Response

from contracts import problems, scopes
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, MinPosition, PathId
from servicekit.http.routes.paging import Page, PageRequest, ShownBothWays, paged_both_ways
from servicekit.principal import Principal
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from transaction_history.domain.rows import EntryRow
from transaction_history.entrypoints.bodies import EntriesBody, entry_body
from transaction_history.entrypoints.parameters import (
    HISTORY,
    NONE_OF_OTHERS,
    NOT_THEIRS,
    PROBLEM_MAP,
    OwnerId,
    OwnerQuery,
    wallet_id_of,
)
from transaction_history.reads.entries import owner_entries, wallet_entries
from transaction_history.reads.listing import TimedPosition, VersionPosition
from transaction_history.reads.view import Views

_FROM_ENTRIES: Final[Sequence[Link]] = (
    ("get_transaction", {"transaction_id": "$response.body#/data/0/transaction_id"}),
    (
        "get_balance_at",
        {"wallet_id": "$response.body#/data/0/wallet_id", "at": "$response.body#/data/0/occurred_at"},
    ),
)


def wallet_entry_routes(views: Views) -> Sequence[Route]:
    """Return the route of a wallet's entries."""
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/wallets/{{wallet_id}}/entries",
            handler=_EntryHandlers(views).of_wallet,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="list_wallet_entries",
            summary="A wallet's entries",
            description=NOT_THEIRS,
            tags=["history"],
            response=EntriesBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
            links=_FROM_ENTRIES,
        ),
    )


def owner_entry_routes(views: Views) -> Sequence[Route]:
    """Return the routes of an owner's entries."""
    handlers = _EntryHandlers(views)
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/owners/{{owner_id}}/entries",
            handler=handlers.of_owner_in_path,
            access=Access(scopes.HISTORY_READ, "{owner_id}", Cost.READ),
            operation_id="list_owner_entries",
            summary="An owner's entries",
            description=NONE_OF_OTHERS,
            tags=["history"],
            response=EntriesBody,
            problems=[problems.NOT_FOUND, problems.WALLET_PARKED],
            links=_FROM_ENTRIES,
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/entries",
            handler=handlers.of_owner_in_query,
            access=Access(scopes.HISTORY_READ, EACH_ROW, Cost.READ),
            operation_id="list_entries",
            summary="An owner's entries, the owner in the query",
            description=f"For ids that clients and gateways change in a path, such as `..`. {NONE_OF_OTHERS}",
            tags=["history"],
            response=EntriesBody,
            problems=[problems.WALLET_PARKED],
            links=_FROM_ENTRIES,
        ),
    )


@dataclass(frozen=True, slots=True)
class _EntryHandlers:
    views: Views

    async def of_wallet(
        self, wallet_id: PathId, caller: Caller, page: Page, min_position: MinPosition, response: Response
    ) -> EntriesBody:
        known = wallet_id_of(wallet_id)
        asked = paged_both_ways(page, VersionPosition, "wallet_entries", caller.tenant_id, caller.owners, known)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(caller, min_position, lambda view: wallet_entries(view, known, asked.walk))
        tell_freshness(response, found.freshness)
        return _entries(asked.show(found.page), caller)

    async def of_owner_in_path(
        self, owner_id: OwnerId, caller: Caller, page: Page, min_position: MinPosition, response: Response
    ) -> EntriesBody:
        return await self._of_owner(owner_id, caller, page, min_position, response)

    async def of_owner_in_query(
        self, owner_id: OwnerQuery, caller: Caller, page: Page, min_position: MinPosition, response: Response
    ) -> EntriesBody:
        return await self._of_owner(owner_id, caller, page, min_position, response)

    async def _of_owner(
        self, owner_id: str, caller: Principal, page: PageRequest, min_position: Mapping[int, int], response: Response
    ) -> EntriesBody:
        asked = paged_both_ways(page, TimedPosition, "owner_entries", caller.tenant_id, caller.owners, owner_id)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(
                caller, min_position, lambda view: owner_entries(view, owner_id, asked.walk)
            )
        tell_freshness(response, found.freshness)
        return _entries(asked.show(found.page), caller)


def _entries(shown: ShownBothWays[EntryRow], caller: Principal) -> EntriesBody:
    return EntriesBody(
        data=[entry_body(row, caller) for row in shown.rows],
        next_cursor=shown.next_cursor,
        prev_cursor=shown.prev_cursor,
    )
