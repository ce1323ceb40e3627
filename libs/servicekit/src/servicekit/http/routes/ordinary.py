"""Ordinary routes at work: FastAPI takes a declared route's requests to its handler."""

from collections.abc import Awaitable, Callable, Iterable
from inspect import Parameter, Signature, signature
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor

from servicekit.http.edge.body import BODILESS
from servicekit.http.edge.matching import PARAMETER, segment_text
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import NoBody
from servicekit.http.routes.responses import json_response

_CONVERTOR: Final = "segment"
_NO_BODY: Final = Parameter("no_body", Parameter.KEYWORD_ONLY, annotation=NoBody)
_encode: Final = msgspec.json.Encoder().encode


class _Segment(Convertor[str]):
    """One segment of a routed path, decoded."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return segment_text(value)

    def to_string(self, value: str) -> str:
        return value


def ordinary_router(routes: Iterable[Route]) -> APIRouter:
    """Return the router of *routes*."""
    register_url_convertor(_CONVERTOR, _Segment())
    router = APIRouter()
    for route in routes:
        router.add_api_route(
            PARAMETER.sub(rf"{{\1:{_CONVERTOR}}}", route.path),
            _endpoint(route),
            methods=[route.method],
            operation_id=route.operation_id,
            summary=route.summary,
            description=route.description,
            tags=list(route.tags),
            status_code=route.status,
            response_model=None if route.answered_struct is not None else route.response,
        )
        added = router.routes[-1]
        assert isinstance(added, APIRoute)
        assert (added.body_field is None) == (route.request is None), f"{route.operation_id}: its handler's body"
    return router


def _endpoint(route: Route) -> Callable[..., Awaitable[Any]]:
    """Return the handler as FastAPI is to see it: it refuses a body where none is taken, and encodes structs."""
    is_structured = route.answered_struct is not None

    async def endpoint(*, no_body: None = None, **asked: Any) -> Any:  # noqa: ARG001  depended on, for its refusal
        answer = await route.handler(**asked)
        return json_response(_encode(answer), route.status) if is_structured else answer

    parameters = list(signature(route.handler).parameters.values())
    if route.request is None and route.method not in BODILESS:
        parameters.append(_NO_BODY)
    endpoint.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # where `inspect` looks first
    return endpoint
