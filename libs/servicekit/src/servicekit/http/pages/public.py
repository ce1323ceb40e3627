"""The routes that ask for no credential, each with its reason; some answer to this machine's neighbours alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts import problems
from servicekit.access.ranges import is_within
from servicekit.client_address import Network
from servicekit.http.edge.admitting import Admitting
from servicekit.http.pages.docs import FILES
from servicekit.http.problems import Problem
from servicekit.http.route import Route

PUBLIC_ROUTES: Final[Mapping[str, str]] = {
    "/health/live": "A supervisor has no credential, and learns that the process runs.",
    "/health/ready": "A load balancer has no credential, and learns whether to send requests here.",
    "/openapi.json": "What the API is like is no secret.",
    "/docs": "What the API is like is no secret.",
    f"{FILES}/{{name}}": "The files of the page of the API.",
    "/problems/{code}": "The `type` of every problem leads here.",
    "/schemas/{event_type}": "The `ce_dataschema` of every event leads here.",
    "/v1/currencies": "Which currencies there are is no secret.",
    "/v1/history/downloads/{token}": "The link itself is the credential: signed, of an hour at most, revocable.",
    "/health/deep": "For the operator's own network: `PAGES_FROM`.",
    "/metrics": "For the operator's own network: `PAGES_FROM`.",
}
GUARDED: Final = frozenset({"/health/deep", "/metrics"})
"""Those that tell how the platform is, and answer to the addresses of `PAGES_FROM` alone."""


class UndeclaredRoute(Exception):
    """A route declares no access, and no reason why it needs none: the application must not start."""


def require_declared(app: FastAPI, routes: Sequence[Route]) -> None:
    """Raise UndeclaredRoute if *app* answers a path that is neither one of *routes* nor in `PUBLIC_ROUTES`."""
    declared = {route.path for route in routes} | PUBLIC_ROUTES.keys()
    undeclared = sorted(set(_paths(app.routes)) - declared)
    if undeclared:
        raise UndeclaredRoute(f"{undeclared[0]} declares no access and is not among the public routes")


def _paths(routes: Iterable[object]) -> Iterator[str]:
    for each in routes:
        included = getattr(each, "original_router", None)
        if included is not None:
            yield from _paths(included.routes)
        else:
            yield each.path_format if isinstance(each, APIRoute) else getattr(each, "path", repr(each))


class PagesGuard:
    """Answers the guarded pages to the networks of *allowed* alone; for everybody else they do not exist."""

    def __init__(self, inner: ASGIApp, allowed: Sequence[Network], admitting: Admitting) -> None:
        self._inner = inner
        self._allowed = allowed
        self._admitting = admitting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; raises Problem `not_found` for a guarded page asked for from elsewhere."""
        if scope["type"] == "http" and scope["path"] in GUARDED:
            client = self._admitting.client(scope, dict(scope["headers"]))
            if not is_within(client.address, self._allowed):
                raise Problem(problems.NOT_FOUND, "There is no such path.")
        await self._inner(scope, receive, send)
