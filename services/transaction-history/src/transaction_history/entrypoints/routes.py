"""The routes of the history: entries, transactions, and balances in the past."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from contracts import problems
from contracts.envelope import rfc3339
from contracts.ids import parse_id
from contracts.times import InstantError, parse_instant
from servicekit.http.answers import Link, declared
from servicekit.http.context import invalid_query
from servicekit.http.dependencies import Caller, MinPosition, PathId, any_text
from servicekit.http.paging import Page, PageRequest, decode_cursor, encode_cursor
from servicekit.http.problems import FieldError, Problem, Told
from servicekit.principal import Principal
from servicekit.read_answers import read_told_as, tell_freshness
from servicekit.read_model.projected import SubjectParked
from transaction_history.entrypoints.bodies import (
    BalanceAtBody,
    EntriesBody,
    TransactionBody,
    balance_at_body,
    entry_body,
    transaction_body,
)
from transaction_history.reads.queries import (
    HistoryQueries,
    OpenedLater,
    TransactionUnknown,
    WalletUnknown,
)

T = TypeVar("T")

OWNER_CHARACTERS_MAX: Final = 100

OwnerId = Annotated[str, Path(min_length=1, max_length=OWNER_CHARACTERS_MAX, pattern=r"^[^\x00]*$")]
OwnerQuery = Annotated[
    str, Query(min_length=1, max_length=OWNER_CHARACTERS_MAX, description="The owner, whatever its id holds.")
]
At = Annotated[
    str, Query(description="The instant, RFC 3339 with its offset.", json_schema_extra={"format": "date-time"})
]

_TOLD: Final[Told] = {
    WalletUnknown: (problems.WALLET_NOT_FOUND, "There is no such wallet."),
    TransactionUnknown: (problems.TRANSACTION_NOT_FOUND, "There is no such transaction."),
    SubjectParked: (problems.WALLET_PARKED, "A wallet of this answer is parked; operators know."),
}
_FROM_ENTRIES: Final[Sequence[Link]] = (
    ("get_transaction", {"transaction_id": "$response.body#/data/0/transaction_id"}),
    (
        "get_balance_at",
        {"wallet_id": "$response.body#/data/0/wallet_id", "at": "$response.body#/data/0/occurred_at"},
    ),
)
_FROM_TRANSACTION: Final[Sequence[Link]] = (
    ("list_wallet_entries", {"wallet_id": "$response.body#/entries/0/wallet_id"}),
    ("list_owner_entries", {"owner_id": "$response.body#/entries/0/owner_id"}),
)


def wallet_entry_routes(queries: HistoryQueries) -> APIRouter:
    """Return the route of a wallet's entries."""
    router = _router()

    @router.get(
        "/wallets/{wallet_id}/entries",
        operation_id="list_wallet_entries",
        summary="A wallet's entries",
        responses=declared(problems.WALLET_NOT_FOUND, problems.WALLET_PARKED, links=_FROM_ENTRIES),
    )
    async def wallet_entries(
        wallet_id: PathId, caller: Caller, page: Page, min_position: MinPosition, response: Response
    ) -> EntriesBody:
        known = _wallet_id(wallet_id)
        fingerprint = f"wallet_entries|{caller.tenant_id}|{known}"
        with read_told_as(_TOLD):
            found = await queries.wallet_entries(
                caller.tenant_id,
                known,
                before_version=_position(page, fingerprint, int),
                limit=page.limit,
                min_position=min_position,
            )
        tell_freshness(response, found.freshness)
        more = encode_cursor(fingerprint, found.rows[-1].version) if found.has_more else None
        return EntriesBody(data=[entry_body(row) for row in found.rows], next_cursor=more)

    return router


def owner_entry_routes(queries: HistoryQueries) -> APIRouter:
    """Return the routes of an owner's entries."""
    router = _router()

    async def of_owner(
        owner_id: str, caller: Principal, page: PageRequest, min_position: Mapping[int, int], response: Response
    ) -> EntriesBody:
        fingerprint = f"owner_entries|{caller.tenant_id}|{owner_id}"
        with read_told_as(_TOLD):
            found = await queries.owner_entries(
                caller.tenant_id,
                owner_id,
                before=_position(page, fingerprint, tuple[datetime, UUID]),
                limit=page.limit,
                min_position=min_position,
            )
        tell_freshness(response, found.freshness)
        last = found.rows[-1] if found.has_more else None
        more = None if last is None else encode_cursor(fingerprint, (last.occurred_at, UUID(int=last.event_id.int)))
        return EntriesBody(data=[entry_body(row) for row in found.rows], next_cursor=more)

    @router.get(
        f"/owners/{any_text('owner_id')}/entries",
        operation_id="list_owner_entries",
        summary="An owner's entries",
        responses=declared(problems.NOT_FOUND, problems.WALLET_PARKED, links=_FROM_ENTRIES),
    )
    async def owner_entries(
        owner_id: OwnerId, caller: Caller, page: Page, min_position: MinPosition, response: Response
    ) -> EntriesBody:
        return await of_owner(owner_id, caller, page, min_position, response)

    @router.get(
        "/entries",
        operation_id="list_entries",
        summary="An owner's entries, the owner in the query",
        description="For ids that clients and gateways change in a path, such as `..`.",
        responses=declared(problems.WALLET_PARKED, links=_FROM_ENTRIES),
    )
    async def entries(
        owner_id: OwnerQuery, caller: Caller, page: Page, min_position: MinPosition, response: Response
    ) -> EntriesBody:
        return await of_owner(owner_id, caller, page, min_position, response)

    return router


def transaction_routes(queries: HistoryQueries) -> APIRouter:
    """Return the route of a transaction."""
    router = _router()

    @router.get(
        "/transactions/{transaction_id}",
        operation_id="get_transaction",
        summary="A transaction's legs",
        responses=declared(problems.TRANSACTION_NOT_FOUND, problems.WALLET_PARKED, links=_FROM_TRANSACTION),
    )
    async def transaction(
        transaction_id: PathId, caller: Caller, min_position: MinPosition, response: Response
    ) -> TransactionBody:
        known = parse_id(transaction_id)
        if known is None:
            raise Problem(problems.TRANSACTION_NOT_FOUND, "There is no such transaction.")
        with read_told_as(_TOLD):
            legs = await queries.transaction(caller.tenant_id, known, min_position=min_position)
        tell_freshness(response, legs.freshness)
        return transaction_body(legs)

    return router


def balance_routes(queries: HistoryQueries) -> APIRouter:
    """Return the route of a balance in the past."""
    router = _router()

    @router.get(
        "/wallets/{wallet_id}/balance",
        operation_id="get_balance_at",
        summary="A balance in the past",
        responses=declared(problems.WALLET_NOT_FOUND, problems.WALLET_NOT_OPEN_YET, problems.WALLET_PARKED),
    )
    async def balance_at(
        wallet_id: PathId, caller: Caller, at: At, min_position: MinPosition, response: Response
    ) -> BalanceAtBody:
        known, instant = _wallet_id(wallet_id), _instant(at)
        try:
            with read_told_as(_TOLD):
                found = await queries.balance_at(caller.tenant_id, known, instant, min_position=min_position)
        except OpenedLater as later:
            opened_at = rfc3339(later.opened_at)
            detail = f"The wallet was opened at {opened_at}: there is no balance before."
            raise Problem(problems.WALLET_NOT_OPEN_YET, detail, opened_at=opened_at) from None
        tell_freshness(response, found.freshness)
        return balance_at_body(found, at)

    return router


def _router() -> APIRouter:
    return APIRouter(prefix="/v1/history", tags=["history"])


def _wallet_id(text: str) -> UUID:
    known = parse_id(text)
    if known is None:
        raise Problem(problems.WALLET_NOT_FOUND, "There is no such wallet.")
    return known


def _position(page: PageRequest, fingerprint: str, position: type[T]) -> T | None:
    return None if page.cursor is None else decode_cursor(page.cursor, fingerprint, position)


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except InstantError as error:
        raise invalid_query(FieldError("/at", "invalid_value", str(error))) from None
