"""The routes of wallets, their holds and states, and of what owners have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query, Response

from contracts import problems, scopes
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, MinPosition, PathId
from servicekit.http.routes.paging import Page, paged_both_ways
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from transaction_history.domain.private_text import PrivateText, texts_of
from transaction_history.entrypoints.ledger_bodies import (
    HoldsBody,
    OwnerBalancesBody,
    StateChangesBody,
    WalletBody,
    WalletsBody,
    holds_body,
    owner_balances_body,
    state_changes_body,
    wallet_body,
    wallets_body,
)
from transaction_history.entrypoints.parameters import (
    HISTORY,
    NONE_OF_OTHERS,
    NOT_THEIRS,
    PROBLEM_MAP,
    CurrencyFilter,
    OwnerFilter,
    OwnerId,
    currency_of,
    instant,
    values_of,
    wallet_id_of,
)
from transaction_history.reads.holds import HoldPosition, wallet_holds, wallet_state_changes
from transaction_history.reads.listing import TimedPosition, VersionPosition
from transaction_history.reads.view import Views
from transaction_history.reads.wallets import (
    WalletFilter,
    list_wallets,
    one_wallet,
    owner_balances,
)

HOLD_STATES = ("open", "captured", "voided", "expired")

Status = Annotated[Literal["open", "closed"] | None, Query(description="Of this status alone.")]
Restricted = Annotated[bool | None, Query(description="With a restriction, or without any.")]
IdleSince = Annotated[str | None, Query(description="Without an entry since this instant, RFC 3339.")]
OpenedFrom = Annotated[str | None, Query(description="Opened from this instant on, RFC 3339.")]
OpenedTo = Annotated[str | None, Query(description="Opened before this instant, RFC 3339.")]
State = Annotated[str | None, Query(description="In one of these states, separated by commas.", max_length=100)]


def wallet_routes(views: Views, private_text: PrivateText) -> Sequence[Route]:
    """Return the routes of wallets and of what owners have."""
    handlers = _WalletHandlers(views, private_text)
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/wallets",
            handler=handlers.wallets,
            access=Access(scopes.HISTORY_READ, EACH_ROW, Cost.READ),
            operation_id="list_history_wallets",
            summary="Wallets as the history has them",
            description="A page may be short: `next_cursor` tells whether there are more.",
            tags=["history"],
            response=WalletsBody,
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/wallets/{{wallet_id}}",
            handler=handlers.wallet,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="get_history_wallet",
            summary="A wallet as the history has it",
            description=NOT_THEIRS,
            tags=["history"],
            response=WalletBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
        ),
        *_rows_of_wallet(handlers),
        *_of_owner(handlers),
    )


def _rows_of_wallet(handlers: "_WalletHandlers") -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/wallets/{{wallet_id}}/holds",
            handler=handlers.holds,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="list_history_holds",
            summary="A wallet's holds",
            description=NOT_THEIRS,
            tags=["history"],
            response=HoldsBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/wallets/{{wallet_id}}/state-changes",
            handler=handlers.state_changes,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="list_state_changes",
            summary="What changed a wallet's state",
            description=NOT_THEIRS,
            tags=["history"],
            response=StateChangesBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
        ),
    )


def _of_owner(handlers: "_WalletHandlers") -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/owners/{{owner_id}}/balances",
            handler=handlers.owner_balances,
            access=Access(scopes.HISTORY_READ, "{owner_id}", Cost.READ),
            operation_id="get_owner_balances",
            summary="What an owner has, by currency",
            description=NONE_OF_OTHERS,
            tags=["history"],
            response=OwnerBalancesBody,
            problems=[problems.NOT_FOUND, problems.WALLET_PARKED],
        ),
    )


@dataclass(frozen=True, slots=True)
class _WalletHandlers:
    views: Views
    private_text: PrivateText

    async def wallets(
        self,
        *,
        caller: Caller,
        page: Page,
        min_position: MinPosition,
        response: Response,
        owner_id: OwnerFilter = None,
        currency: CurrencyFilter = None,
        status: Status = None,
        restricted: Restricted = None,
        idle_since: IdleSince = None,
        opened_from: OpenedFrom = None,
        opened_to: OpenedTo = None,
    ) -> WalletsBody:
        wanted = WalletFilter(
            owner_id=owner_id,
            currency=currency_of(currency),
            status=status,
            restricted=restricted,
            idle_since=instant(idle_since, "idle_since"),
            opened_from=instant(opened_from, "opened_from"),
            opened_to=instant(opened_to, "opened_to"),
        )
        asked = paged_both_ways(page, TimedPosition, "wallets", caller.tenant_id, caller.owners, wanted)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(caller, min_position, lambda view: list_wallets(view, wanted, asked.walk))
        tell_freshness(response, found.freshness)
        shown = asked.show(found.page)
        return wallets_body(shown, await texts_of(self.private_text, shown.rows), found.parked)

    async def wallet(
        self, wallet_id: PathId, caller: Caller, min_position: MinPosition, response: Response
    ) -> WalletBody:
        known = wallet_id_of(wallet_id)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(caller, min_position, lambda view: one_wallet(view, known))
        tell_freshness(response, found.freshness)
        (private,) = await texts_of(self.private_text, [found.wallet])
        return wallet_body(found.wallet, private)

    async def holds(
        self,
        *,
        wallet_id: PathId,
        caller: Caller,
        page: Page,
        min_position: MinPosition,
        response: Response,
        state: State = None,
    ) -> HoldsBody:
        known, states = wallet_id_of(wallet_id), values_of(state, "state", HOLD_STATES)
        asked = paged_both_ways(page, HoldPosition, "holds", caller.tenant_id, caller.owners, known, states)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(
                caller, min_position, lambda view: wallet_holds(view, known, states, asked.walk)
            )
        tell_freshness(response, found.freshness)
        return holds_body(asked.show(found.page))

    async def state_changes(
        self, wallet_id: PathId, caller: Caller, page: Page, min_position: MinPosition, response: Response
    ) -> StateChangesBody:
        known = wallet_id_of(wallet_id)
        asked = paged_both_ways(page, VersionPosition, "state_changes", caller.tenant_id, caller.owners, known)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(
                caller, min_position, lambda view: wallet_state_changes(view, known, asked.walk)
            )
        tell_freshness(response, found.freshness)
        shown = asked.show(found.page)
        return state_changes_body(shown, await texts_of(self.private_text, shown.rows))

    async def owner_balances(
        self, owner_id: OwnerId, caller: Caller, min_position: MinPosition, response: Response
    ) -> OwnerBalancesBody:
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(caller, min_position, lambda view: owner_balances(view, owner_id))
        tell_freshness(response, found.freshness)
        return owner_balances_body(owner_id, found)
