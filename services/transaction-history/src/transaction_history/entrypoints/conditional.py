"""Conditional reads: every answer of a read has a tag, and who sends the tag it has is told that nothing changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from inspect import Parameter, Signature, signature
from typing import Any, Final

from fastapi import Request, Response

from contracts.ids import parse_id
from contracts.times import parse_instant
from contracts.zones import UTC_ZONE
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import KnownTags
from servicekit.read_answers import tell_freshness
from transaction_history.domain.buckets import day_end
from transaction_history.entrypoints.parameters import day_of
from transaction_history.reads.conditions import Condition, NotModified, Of, Settled, under

NOT_MODIFIED: Final = 304
_WALLET: Final = "wallet_id"
OF_LEDGER: Final = frozenset(
    {"list_transactions", "get_transaction", "list_history_wallets", "get_history_wallet", "list_history_holds"}
    | {"list_state_changes", "get_owner_balances", "get_balance_at"}
    | {"get_wallet_balance_series", "get_owner_balance_series"}
)
"""Operations whose answers the index has no part in, whatever is asked."""
LISTS_OF_ENTRIES: Final = frozenset({"list_entries", "list_wallet_entries", "list_owner_entries"})
"""Those that it has a part in where a filter is given that no key serves; in any other it may have."""
BY_KEY: Final = frozenset(
    {"wallet_id", "owner_id", "transaction_id", "from", "to", "order", "include", "limit", "cursor"}
)
"""The parameters of these that keys serve."""
KEPT: Final = frozenset({"get_dashboard", "list_top_wallets"})
CLOSING: Final = (
    LISTS_OF_ENTRIES
    | {"search_entries", "get_totals"}
    | {"get_balance_at", "get_wallet_balance_series", "get_owner_balance_series"}
)
"""Operations that tell what happened up to an instant: what came before it does not change any more. A transaction
changes with each refund, however old it is."""
_ADDED: Final = (
    Parameter("request", Parameter.KEYWORD_ONLY, annotation=Request),
    Parameter("known_tags", Parameter.KEYWORD_ONLY, annotation=KnownTags),
)


def conditional(routes: Iterable[Route], *, release: str) -> Sequence[Route]:
    """Return *routes*, which read, as ones whose answers have tags; each *release* has tags of its own.

    Their handlers take the response as `response`. An answer that streams has none.
    """
    return [_conditional(route, release) for route in routes]


def _conditional(route: Route, release: str) -> Route:
    async def handler(*, request: Request, known_tags: frozenset[str], response: Response, **asked: Any) -> Any:
        if asked.get("streamed") is not None:
            return await route.handler(response=response, **asked)
        condition = _condition(route, request, known_tags, release)
        try:
            with under(condition):
                answer = await route.handler(response=response, **asked)
        except NotModified:
            assert condition.settled is not None, "it was compared"
            return _not_modified(response, condition.settled, _closes_at(route, request.query_params))
        if condition.settled is not None:
            _tell(response, condition.settled, _closes_at(route, request.query_params))
        return answer

    parameters = signature(route.handler).parameters
    assert "response" in parameters, f"{route.operation_id}: where its tag is put"
    assert route.answered_struct is None, f"{route.operation_id}: a 304 is no struct"
    handler.__signature__ = Signature(  # type: ignore[attr-defined]  # where FastAPI looks first
        [*(each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters.values()), *_ADDED]
    )
    return replace(route, handler=handler)


def _condition(route: Route, request: Request, known_tags: frozenset[str], release: str) -> Condition:
    """Return what is asked for, told apart by the very text of the request."""
    query: bytes = request.scope["query_string"]
    wallet_id = request.path_params.get(_WALLET)
    of = Of.TENANT if wallet_id is None else Of.WALLET
    return Condition(
        asked=f"{release} {request.scope['path']}?{query.decode('latin-1')}",
        has=known_tags,
        of=Of.KEPT if route.operation_id in KEPT else of,
        of_index=_is_of_index(route, request.query_params),
        wallet_id=None if wallet_id is None else parse_id(wallet_id),
    )


def _is_of_index(route: Route, query: Mapping[str, str]) -> bool:
    if route.operation_id in LISTS_OF_ENTRIES:
        return not query.keys() <= BY_KEY
    return route.operation_id not in OF_LEDGER


def _closes_at(route: Route, query: Mapping[str, str]) -> datetime | None:
    """Return the instant behind which nothing is asked for, of a request that was read; None where there is none."""
    if route.operation_id not in CLOSING:
        return None
    if (text := query.get("to") or query.get("at")) is not None:
        return parse_instant(text)
    if (text := query.get("date")) is not None:
        return day_end(query.get("time_zone", UTC_ZONE), day_of(text))
    return None


def _not_modified(response: Response, settled: Settled, closes_at: datetime | None) -> Response:
    told = Response(status_code=NOT_MODIFIED, headers=dict(response.headers))
    if settled.freshness is not None:
        tell_freshness(told, settled.freshness)
    _tell(told, settled, closes_at)
    return told


def _tell(response: Response, settled: Settled, closes_at: datetime | None) -> None:
    until = None if settled.freshness is None else settled.freshness.complete_until
    is_closed = closes_at is not None and until is not None and closes_at <= until
    response.headers["ETag"] = settled.tag
    response.headers["Cache-Control"] = "private, max-age=60" if is_closed else "private, no-cache"
    response.headers["Vary"] = "Accept, Authorization"
