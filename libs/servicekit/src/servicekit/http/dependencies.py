"""What an ordinary route's handler asks for, as annotated parameters."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from contracts import problems
from servicekit.http.context import (
    CONTEXT_KEY,
    RequestContext,
    header,
    idempotency_key_of,
    invalid_query,
    min_position_of,
)
from servicekit.http.problems import FieldError, Problem
from servicekit.principal import Principal, PrincipalOf

_QUERY_NAMES_SHOWN = 10


def _context(request: Request) -> RequestContext:
    context: RequestContext = request.scope[CONTEXT_KEY]
    return context


def _principal(request: Request) -> Principal:
    principal_of: PrincipalOf = request.app.state.principal_of
    return principal_of(request.scope["headers"])


def _idempotency_key(request: Request) -> str:
    return idempotency_key_of(header(request.scope["headers"], b"idempotency-key"))


def _min_position(request: Request) -> dict[int, int]:
    return min_position_of(header(request.scope["headers"], b"min-position"))


Context = Annotated[RequestContext, Depends(_context)]
Caller = Annotated[Principal, Depends(_principal)]
IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
MinPosition = Annotated[dict[int, int], Depends(_min_position)]


def refuse_unknown_query(request: Request) -> None:
    """Raise Problem `invalid_query` for a query parameter that the route does not have, or that is given twice."""
    if not request.scope["query_string"]:
        return
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        raise Problem(problems.NOT_FOUND, "There is no such path.")
    known = {field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query)}
    given = [name for name, _ in request.query_params.multi_items()]
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
    if errors:
        raise invalid_query(*errors[:_QUERY_NAMES_SHOWN])
