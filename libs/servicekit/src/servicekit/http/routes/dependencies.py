"""What an ordinary route's handler asks for, as annotated parameters."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from contracts import problems
from contracts.problems import ProblemCode
from servicekit.access.admission import Admission
from servicekit.http.edge.context import (
    CONTEXT_KEY,
    RequestContext,
    header,
    idempotency_key_of,
    invalid_query,
    min_position_of,
)
from servicekit.http.edge.decoding import refuse_body
from servicekit.http.problems import FieldError, Problem
from servicekit.http.routes.paging import page_request
from servicekit.principal import Principal

_QUERY_NAMES_SHOWN = 10
_ENTITY_TAG: Final = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
FAMILY: Final = "<key>"
"""What the alias of a query parameter ends with that stands for all that begin with the rest of it."""


# Coroutines all of them: what is none is sent to a thread and back by the framework, for each request.
async def _context(request: Request) -> RequestContext:
    context: RequestContext = request.scope[CONTEXT_KEY]
    return context


async def _admission(request: Request) -> Admission:
    admission = (await _context(request)).admission
    assert admission is not None, "a route's caller is admitted before its handler"
    return admission


async def _principal(request: Request) -> Principal:
    return (await _admission(request)).principal


async def _idempotency_key(request: Request) -> str:
    return idempotency_key_of(header(request.scope["headers"], b"idempotency-key"))


async def _min_position(request: Request) -> dict[int, int]:
    return min_position_of(header(request.scope["headers"], b"min-position"))


async def _known_tags(request: Request) -> frozenset[str]:
    return known_tags(",".join(request.headers.getlist("if-none-match")))


def known_tags(header_value: str) -> frozenset[str]:
    """Return the entity tags of an `If-None-Match` in their quotes, weak ones too.

    What is malformed is no condition, nor is `*`, which could only be told from a refusal by making the answer.
    """
    return frozenset(_ENTITY_TAG.findall(header_value))


Context = Annotated[RequestContext, Depends(_context)]
Admitted = Annotated[Admission, Depends(_admission)]
Caller = Annotated[Principal, Depends(_principal)]
IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
MinPosition = Annotated[dict[int, int], Depends(_min_position)]
KnownTags = Annotated[frozenset[str], Depends(_known_tags)]
"""The tags of answers that the caller has."""
PathId = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
"""An id in the path as text: what is none is not found."""


async def _no_body(request: Request) -> None:
    refuse_body(await request.body())


NoBody = Annotated[None, Depends(_no_body)]
"""That the request says nothing in a body."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a dependency adds to the OpenAPI document of every route that asks for it."""

    problems: tuple[ProblemCode, ...]
    header: Mapping[str, Any] | None = None
    answered: Mapping[str, str] = field(default_factory=dict)
    """Headers of a success by name, with what they say."""
    others: Mapping[int, str] = field(default_factory=dict)
    """Statuses that are neither a success nor refusals, with what they say; their answers have those headers too."""


KEY_HEADER: Final[Mapping[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A repeat with the same key answers the stored response, without secrets.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_POSITION_HEADER: Final[Mapping[str, Any]] = {
    "name": "Min-Position",
    "in": "header",
    "required": False,
    "description": "The `Ledger-Position` of what the answer must have seen; shards ascend.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,2}-[0-9]{1,19}(, [0-9]{1,2}-[0-9]{1,19})*$"},
    "example": "3-17, 5-2",
}
_TAGS_HEADER: Final[Mapping[str, Any]] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of what the caller has: if that is what there is, the answer is 304 without a body. "
    "What is no tag is no condition.",
    "schema": {"type": "string"},
}
DECLARED: Final[Mapping[Callable[..., Any], Declared]] = {
    _admission: Declared((problems.OVERLOADED, problems.UNAVAILABLE)),
    _principal: Declared((problems.OVERLOADED, problems.UNAVAILABLE)),
    _idempotency_key: Declared(
        (problems.INVALID_IDEMPOTENCY_KEY, problems.IN_FLIGHT, problems.IDEMPOTENCY_KEY_REUSED),
        KEY_HEADER,
        {"Idempotency-Replayed": "`true` where this is the stored answer of the key."},
    ),
    _min_position: Declared(
        (problems.INVALID_POSITION, problems.POSITION_NOT_REACHED),
        _POSITION_HEADER,
        {
            "Ledger-Position": "Up to where the answer saw the journal, by shard.",
            "Projection-Lag-Ms": "How old what the answer has come to is; 0 where that is the newest and young.",
        },
    ),
    _known_tags: Declared(
        (),
        _TAGS_HEADER,
        {
            "ETag": "Of the answer to this caller: what `If-None-Match` takes.",
            "Cache-Control": "`private, no-cache`; `private, max-age=60` where nothing asked for is still to come.",
            "Vary": "What else the answer depends on.",
        },
        {304: "The caller has what there is."},
    ),
    page_request: Declared((problems.INVALID_CURSOR,)),
}
"""By the function that is depended on."""


async def refuse_unknown_query(request: Request) -> None:
    """Raise Problem `invalid_query` for a query parameter that the route does not have, given twice, or with a NUL."""
    if not request.scope["query_string"]:
        return
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        raise Problem(problems.NOT_FOUND, "There is no such path.")
    known = {field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query)}
    families = tuple(alias.removesuffix(FAMILY) for alias in known if alias.endswith(FAMILY))
    given = [name for name, _ in request.query_params.multi_items()]
    known |= {name for name in given if families and name.startswith(families)}
    errors = [
        FieldError(f"/{name}", "unknown_field", "There is no such query parameter.")
        for name in dict.fromkeys(given)
        if name not in known
    ]
    errors += [
        FieldError(f"/{name}", "too_many", "The query parameter may be given once.")
        for name in dict.fromkeys(given)
        if name in known and given.count(name) > 1
    ]
    errors += [
        FieldError(f"/{name}", "invalid_text", "The text holds a NUL.")
        for name, value in request.query_params.multi_items()
        if name in known and "\0" in value
    ]
    if errors:
        raise invalid_query(*errors[:_QUERY_NAMES_SHOWN])
