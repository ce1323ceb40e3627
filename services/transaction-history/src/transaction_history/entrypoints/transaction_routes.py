"""The routes of transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Query, Response

from contracts import problems, scopes
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, MinPosition, PathId
from servicekit.http.routes.paging import Page, paged_both_ways
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from transaction_history.domain.private_text import NO_TEXT, PrivateText, texts_of
from transaction_history.entrypoints.bodies import (
    TransactionBody,
    TransactionsBody,
    own_entry,
    transaction_body,
    transactions_body,
)
from transaction_history.entrypoints.parameters import (
    HISTORY,
    PROBLEM_MAP,
    CurrencyFilter,
    From,
    Order,
    To,
    amount_of,
    currency_of,
    time_range,
    transaction_id_of,
    values_of,
)
from transaction_history.reads.listing import TimedPosition
from transaction_history.reads.transactions import (
    TransactionFilter,
    list_transactions,
    transaction,
)
from transaction_history.reads.view import Views

STATUSES: Final = ("posted", "partially_refunded", "refunded", "reversed")

Types = Annotated[
    str | None, Query(alias="type", description="Of one of these types, separated by commas.", max_length=500)
]
Statuses = Annotated[
    str | None, Query(alias="status", description="Of one of these statuses, separated by commas.", max_length=100)
]
Complete = Annotated[bool | None, Query(description="Whether every entry has come.")]
AmountMin = Annotated[str | None, Query(description="At least this amount, of `currency`.", max_length=40)]
AmountMax = Annotated[str | None, Query(description="At most this amount, of `currency`.", max_length=40)]

_FROM_TRANSACTION: Final[Sequence[Link]] = (
    ("list_wallet_entries", {"wallet_id": "$response.body#/entries/0/wallet_id"}),
    ("list_owner_entries", {"owner_id": "$response.body#/entries/0/owner_id"}),
)
_OTHERS_SIDE: Final = (
    "A caller that acts for some owners alone finds the transactions in which a wallet of theirs has an entry. Of "
    "other wallets' entries it is shown `wallet_id` and `amount`: `owner_id`, `balance_after` and `version` are null, "
    "and the text is that of an entry of its own."
)


def transaction_routes(views: Views, private_text: PrivateText) -> Sequence[Route]:
    """Return the routes of transactions."""
    handlers = _TransactionHandlers(views, private_text)
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/transactions",
            handler=handlers.transactions,
            access=Access(scopes.HISTORY_READ, EACH_ROW, Cost.READ),
            operation_id="list_transactions",
            summary="Transactions",
            description=(
                "By when they were created; for a caller that acts for some owners alone, those in which these have an "
                "entry, by that entry. A page may be short: `next_cursor` tells whether there are more."
            ),
            tags=["history"],
            response=TransactionsBody,
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/transactions/{{transaction_id}}",
            handler=handlers.transaction,
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


@dataclass(frozen=True, slots=True)
class _TransactionHandlers:
    views: Views
    private_text: PrivateText

    async def transactions(
        self,
        *,
        caller: Caller,
        page: Page,
        min_position: MinPosition,
        response: Response,
        types: Types = None,
        statuses: Statuses = None,
        complete: Complete = None,
        currency: CurrencyFilter = None,
        amount_min: AmountMin = None,
        amount_max: AmountMax = None,
        begin: From = None,
        end: To = None,
        order: Order = "newest",
    ) -> TransactionsBody:
        wanted = _wanted(types, statuses, complete, (currency, amount_min, amount_max), (begin, end))
        query = ("transactions", caller.tenant_id, caller.owners, wanted, order)
        asked = paged_both_ways(page, TimedPosition, *query)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(
                caller,
                min_position,
                lambda view: list_transactions(view, wanted, asked.walk, newest_first=order == "newest"),
            )
        tell_freshness(response, found.freshness)
        return transactions_body(asked.show(found.page), found.parked)

    async def transaction(
        self, transaction_id: PathId, caller: Caller, min_position: MinPosition, response: Response
    ) -> TransactionBody:
        known = transaction_id_of(transaction_id)
        with read_raises_as_problems(PROBLEM_MAP):
            found = await self.views.answer(caller, min_position, lambda view: transaction(view, known))
        tell_freshness(response, found.freshness)
        own = own_entry(found, caller)
        (private,) = [NO_TEXT] if own is None else await texts_of(self.private_text, [own])
        return transaction_body(found, private, caller)


def _wanted(
    types: str | None,
    statuses: str | None,
    complete: bool | None,  # noqa: FBT001  as the query has it
    amounts: tuple[str | None, str | None, str | None],
    times: tuple[str | None, str | None],
) -> TransactionFilter:
    """Return the filter; raise Problem `invalid_query`."""
    currency = currency_of(amounts[0])
    least, most = amount_of(amounts[1], "amount_min", currency), amount_of(amounts[2], "amount_max", currency)
    if least is not None and most is not None and least > most:
        raise invalid_query(FieldError("/amount_max", "invalid_value", "`amount_max` is below `amount_min`."))
    begin, end = time_range(*times)
    return TransactionFilter(
        types=values_of(types, "type"),
        statuses=values_of(statuses, "status", STATUSES),
        complete=complete,
        currency=currency,
        amount_min_minor=least,
        amount_max_minor=most,
        from_at=begin,
        to_at=end,
    )
