"""The routes of commands, one for each slice of the catalog, and that of batches."""

from collections.abc import Sequence
from typing import Final

from contracts import problems
from servicekit.access.admission import Access, Cost
from servicekit.http.route import Engine, Route
from wallet.entrypoints import money
from wallet.entrypoints.bodies import BatchBody
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.fields import OWNER_ID_SCHEMA
from wallet.entrypoints.slices import Catalog, CommandSlice

BATCH_BYTES_MAX: Final = 2 * 1024 * 1024

_HEADERS: Final = {
    "Ledger-Position": "Where the command landed: the highest sequence of each shard it touched.",
    "Idempotency-Replayed": "`true` where this is the stored answer of the key.",
}
_LOCATED: Final = {"Location": "The resource.", **_HEADERS}


def command_routes(handlers: CommandHandlers, catalog: Catalog) -> Sequence[Route]:
    """Return every command route of the service."""
    return (*(_route(handlers, each) for each in catalog.slices), _batch_route(handlers))


def _route(handlers: CommandHandlers, of: CommandSlice) -> Route:
    return Route(
        engine=Engine.COMMAND,
        method=of.method,
        path=of.path,
        path_schemas={f"{of.path_kind}_id": OWNER_ID_SCHEMA} if of.is_path_text else {},
        request=of.request,
        handler=handlers.single(of),
        access=of.access,
        operation_id=of.operation_id,
        summary=of.summary,
        tags=[of.tag],
        status=of.status,
        response=of.response,
        problems=of.problems,
        response_headers=_HEADERS if of.located_at is None else _LOCATED,
        links=of.links,
    )


def _batch_route(handlers: CommandHandlers) -> Route:
    return Route(
        engine=Engine.COMMAND,
        method="POST",
        path="/v1/batches",
        request=handlers.members.request,
        handler=handlers.batch,
        access=Access(None, "/commands", Cost.COMMAND),
        operation_id="batch",
        summary="Carry out 1 to 1,000 commands",
        description="`atomic`: all or none. `independent`: each for itself; a repeat of the same commands runs "
        "what is not done yet, other commands need another key.",
        tags=["batches"],
        response=BatchBody,
        problems=(*money.PROBLEMS, problems.INSUFFICIENT_FUNDS, problems.BATCH_REFUSED),
        body_max_bytes=BATCH_BYTES_MAX,
        response_headers=_HEADERS,
    )
