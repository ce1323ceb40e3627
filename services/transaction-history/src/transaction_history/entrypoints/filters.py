"""The filters of entries as query parameters, for every route that has them."""

from collections.abc import Awaitable, Callable, Mapping
from inspect import Parameter, Signature
from typing import Annotated, Final

from fastapi import Depends, Query, Request

from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError
from servicekit.http.routes.dependencies import FAMILY
from transaction_history.domain.entry_filter import (
    METADATA,
    METADATA_MAX,
    NAMES,
    EntryFilter,
    FilterRefused,
    parse_filter,
)
from transaction_history.domain.search_query import QUERY_CHARACTERS_MAX

_SEVERAL: Final = "One or several, separated by commas; a comma inside of one stands behind a backslash."
_AMOUNT: Final = "A decimal without a sign, beside one `currency`."
_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "type": f"Types of events, such as `wallet.funds_sent.v1`. {_SEVERAL}",
    "direction": "`in` or `out`.",
    "amount_min": _AMOUNT,
    "amount_max": _AMOUNT,
    "from": "RFC 3339 with its offset; entries at the instant are included.",
    "to": "RFC 3339 with its offset; entries at the instant are not included.",
    "q": f"What to look for, {QUERY_CHARACTERS_MAX} characters at most.",
    f"{METADATA}{FAMILY}": f"What stands under the key in the metadata; {METADATA_MAX} keys at most. {_SEVERAL}",
}


def _parsed(request: Request) -> EntryFilter:
    """Return what the query asks of entries; raise Problem `invalid_query` with all that is wrong."""
    given = {name: value for name, value in request.query_params.items() if name in NAMES or name.startswith(METADATA)}
    try:
        return parse_filter(given)
    except FilterRefused as refused:
        raise invalid_query(*(FieldError(f"/{each.name}", each.code, each.detail) for each in refused.faults)) from None


def _parameter(number: int, name: str, *, is_required: bool) -> Parameter:
    declared = Query(alias=name, description=_DESCRIPTIONS.get(name, _SEVERAL))
    if is_required:
        return Parameter(f"filter_{number}", Parameter.KEYWORD_ONLY, annotation=Annotated[str, declared])
    return Parameter(
        f"filter_{number}", Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, declared]
    )


def _filter_with(*required: str) -> Callable[..., Awaitable[EntryFilter]]:
    """Return the dependency that reads the filters, of which those *required* must be given."""

    async def entry_filter(request: Request, **_declared: str | None) -> EntryFilter:
        return _parsed(request)

    names = (*NAMES, f"{METADATA}{FAMILY}")
    parameters = [_parameter(number, name, is_required=name in required) for number, name in enumerate(names)]
    signature = Signature([_REQUEST, *parameters])
    entry_filter.__signature__ = signature  # type: ignore[attr-defined]  # where FastAPI looks first
    return entry_filter


_REQUEST: Final = Parameter("request", Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)

Filtered = Annotated[EntryFilter, Depends(_filter_with())]
"""The filters that a handler is asked with."""
Searched = Annotated[EntryFilter, Depends(_filter_with("q"))]
"""The filters of a handler that something must be looked for with."""
