"""The routes of the history: entries, transactions, and balances in the past."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path, Query, Response

from contracts import problems, scopes
from contracts.envelope import rfc3339
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import Problem, ProblemMap
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, MinPosition, PathId
from servicekit.http.routes.paging import Page, PageRequest, Shown, paged
from servicekit.http.routes.parsing import instant_of, path_id
from servicekit.principal import Principal
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from servicekit.read_model.projected import SubjectParked
from transaction_history.domain.rows import EntryRow
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

OWNER_CHARACTERS_MAX: Final = 100

OwnerId = Annotated[str, Path(min_length=1, max_length=OWNER_CHARACTERS_MAX, pattern=r"^[^\x00]*$")]
OwnerQuery = Annotated[
    str, Query(min_length=1, max_length=OWNER_CHARACTERS_MAX, description="The owner, whatever its id holds.")
]
At = Annotated[
    str, Query(description="The instant, RFC 3339 with its offset.", json_schema_extra={"format": "date-time"})
]

_HISTORY: Final = "/v1/history"
_wallet_id: Final = path_id(problems.WALLET_NOT_FOUND, "There is no such wallet.")
_transaction_id: Final = path_id(problems.TRANSACTION_NOT_FOUND, "There is no such transaction.")
_PROBLEM_MAP: Final[ProblemMap] = {
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
_NOT_THEIRS: Final = "For a caller that acts for some owners alone there is no wallet of another owner."
_NONE_OF_OTHERS: Final = "A caller that acts for some owners alone finds no entry of another owner."
_OTHERS_SIDE: Final = (
    "A caller that acts for some owners alone finds the transactions in which a wallet of theirs has an entry. Of "
    "other wallets' entries it is shown `wallet_id` and `amount`: `owner_id`, `balance_after` and `version` are null, "
    "and the text is that of an entry of its own."
)


def wallet_entry_routes(queries: HistoryQueries) -> Sequence[Route]:
    """Return the route of a wallet's entries."""
    return (
        Route(
            method="GET",
            path=f"{_HISTORY}/wallets/{{wallet_id}}/entries",
            handler=_EntryHandlers(queries).of_wallet,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="list_wallet_entries",
            summary="A wallet's entries",
            description=_NOT_THEIRS,
            tags=["history"],
            response=EntriesBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
            links=_FROM_ENTRIES,
        ),
    )


def owner_entry_routes(queries: HistoryQueries) -> Sequence[Route]:
    """Return the routes of an owner's entries."""
    handlers = _EntryHandlers(queries)
    return (
        Route(
            method="GET",
            path=f"{_HISTORY}/owners/{{owner_id}}/entries",
            handler=handlers.of_owner_in_path,
            access=Access(scopes.HISTORY_READ, "{owner_id}", Cost.READ),
            operation_id="list_owner_entries",
            summary="An owner's entries",
            description=_NONE_OF_OTHERS,
            tags=["history"],
            response=EntriesBody,
            problems=[problems.NOT_FOUND, problems.WALLET_PARKED],
            links=_FROM_ENTRIES,
        ),
        Route(
            method="GET",
            path=f"{_HISTORY}/entries",
            handler=handlers.of_owner_in_query,
            access=Access(scopes.HISTORY_READ, EACH_ROW, Cost.READ),
            operation_id="list_entries",
            summary="An owner's entries, the owner in the query",
            description=f"For ids that clients and gateways change in a path, such as `..`. {_NONE_OF_OTHERS}",
            tags=["history"],
            response=EntriesBody,
            problems=[problems.WALLET_PARKED],
            links=_FROM_ENTRIES,
        ),
    )


def transaction_routes(queries: HistoryQueries) -> Sequence[Route]:
    """Return the route of a transaction."""
    return (
        Route(
            method="GET",
            path=f"{_HISTORY}/transactions/{{transaction_id}}",
            handler=_TransactionHandlers(queries).transaction,
            access=Access(scopes.HISTORY_READ, "{transaction_id}", Cost.READ),
            operation_id="get_transaction",
            summary="A transaction's legs",
            description=_OTHERS_SIDE,
            tags=["history"],
            response=TransactionBody,
            problems=[problems.TRANSACTION_NOT_FOUND, problems.WALLET_PARKED],
            links=_FROM_TRANSACTION,
        ),
    )


def balance_routes(queries: HistoryQueries) -> Sequence[Route]:
    """Return the route of a balance in the past."""
    return (
        Route(
            method="GET",
            path=f"{_HISTORY}/wallets/{{wallet_id}}/balance",
            handler=_BalanceHandlers(queries).balance_at,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="get_balance_at",
            summary="A balance in the past",
            description=_NOT_THEIRS,
            tags=["history"],
            response=BalanceAtBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_NOT_OPEN_YET, problems.WALLET_PARKED],
        ),
    )


@dataclass(frozen=True, slots=True)
class _EntryHandlers:
    queries: HistoryQueries

    async def of_wallet(
        self, wallet_id: PathId, caller: Caller, page: Page, min_position: MinPosition, response: Response
    ) -> EntriesBody:
        known = _wallet_id(wallet_id)
        asked = paged(page, int, "wallet_entries", caller.tenant_id, caller.owners, known)
        with read_raises_as_problems(_PROBLEM_MAP):
            found = await self.queries.wallet_entries(
                caller,
                known,
                before_version=asked.position,
                limit=asked.limit,
                min_position=min_position,
            )
        tell_freshness(response, found.freshness)
        return _entries(asked.show(found.rows, lambda row: row.version), caller)

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
        asked = paged(page, tuple[datetime, UUID], "owner_entries", caller.tenant_id, caller.owners, owner_id)
        with read_raises_as_problems(_PROBLEM_MAP):
            found = await self.queries.owner_entries(
                caller, owner_id, before=asked.position, limit=asked.limit, min_position=min_position
            )
        tell_freshness(response, found.freshness)
        return _entries(asked.show(found.rows, lambda row: (row.occurred_at, row.event_id)), caller)


def _entries(shown: Shown[EntryRow], caller: Principal) -> EntriesBody:
    return EntriesBody(data=[entry_body(row, caller) for row in shown.rows], next_cursor=shown.next_cursor)


@dataclass(frozen=True, slots=True)
class _TransactionHandlers:
    queries: HistoryQueries

    async def transaction(
        self, transaction_id: PathId, caller: Caller, min_position: MinPosition, response: Response
    ) -> TransactionBody:
        known = _transaction_id(transaction_id)
        with read_raises_as_problems(_PROBLEM_MAP):
            found = await self.queries.transaction(caller, known, min_position=min_position)
        tell_freshness(response, found.freshness)
        return transaction_body(found, caller)


@dataclass(frozen=True, slots=True)
class _BalanceHandlers:
    queries: HistoryQueries

    async def balance_at(
        self, wallet_id: PathId, caller: Caller, at: At, min_position: MinPosition, response: Response
    ) -> BalanceAtBody:
        known, instant = _wallet_id(wallet_id), instant_of(at, "at", invalid_query)
        try:
            with read_raises_as_problems(_PROBLEM_MAP):
                found = await self.queries.balance_at(caller, known, instant, min_position=min_position)
        except OpenedLater as later:
            opened_at = rfc3339(later.opened_at)
            detail = f"The wallet was opened at {opened_at}: there is no balance before."
            raise Problem(problems.WALLET_NOT_OPEN_YET, detail, opened_at=opened_at) from None
        tell_freshness(response, found.freshness)
        return balance_at_body(found, at)
