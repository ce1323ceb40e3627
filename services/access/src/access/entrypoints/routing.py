"""How this service's routes are declared."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from pydantic import BaseModel

from access.entrypoints.answering import OK, POSITIONED
from contracts.problems import HALTED, ProblemCode
from contracts.scopes import CREDENTIALS_READ, CREDENTIALS_WRITE, TENANTS_WRITE, Scope
from servicekit.access.admission import EVERY_OWNER, Access, Cost
from servicekit.http.route import Link, Route

# What a caller for some owners does to credentials it would do to those of the others too: it is refused, but for
# making keys, which are never for more owners than it acts for itself.
READ: Final = Access(CREDENTIALS_READ, EVERY_OWNER, Cost.READ)
WRITE: Final = Access(CREDENTIALS_WRITE, EVERY_OWNER, Cost.COMMAND)
VOUCH: Final = Access(CREDENTIALS_WRITE, EVERY_OWNER, Cost.STRICT)
"""For what makes tokens be believed."""
MAKE: Final = Access(CREDENTIALS_WRITE, None, Cost.STRICT)
"""For what makes a key."""
STAFF: Final = Access(TENANTS_WRITE, EVERY_OWNER, Cost.COMMAND)


def read(
    path: str,
    handler: Callable[..., Awaitable[Any]],
    operation_id: str,
    summary: str,
    *refusals: ProblemCode,
    tag: str,
    response: type[BaseModel],
    access: Access = READ,
    links: Sequence[Link] = (),
) -> Route:
    """Return a route that reads."""
    return Route(
        method="GET",
        path=path,
        handler=handler,
        access=access,
        operation_id=operation_id,
        summary=summary,
        tags=(tag,),
        response=response,
        problems=(*refusals, HALTED),
        links=links,
    )


def command(
    path: str,
    handler: Callable[..., Awaitable[Any]],
    operation_id: str,
    summary: str,
    *refusals: ProblemCode,
    tag: str,
    response: type[BaseModel],
    request: type[BaseModel] | None = None,
    access: Access = WRITE,
    method: str = "POST",
    status: int = OK,
    links: Sequence[Link] = (),
) -> Route:
    """Return a route that changes something under an Idempotency-Key."""
    return Route(
        method=method,
        path=path,
        handler=handler,
        access=access,
        operation_id=operation_id,
        summary=summary,
        tags=(tag,),
        request=request,
        response=response,
        status=status,
        problems=(*refusals, HALTED),
        response_headers=POSITIONED,
        links=links,
    )


def leads_to(parameter: str, source: str, *operations: str) -> Sequence[Link]:
    """Return links to *operations*, whose *parameter* in the path is found at *source* of the answer's body."""
    return tuple((operation, {parameter: f"$response.body#/{source}"}) for operation in operations)


def holds(scopes: int, scope: Scope) -> bool:
    """Tell whether *scope* is among the bits *scopes*."""
    return bool(scopes & scope.mask)
