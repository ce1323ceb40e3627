"""One OpenAPI document for both kinds of routes: hot operations come from the structs that decode them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from contracts import problems
from servicekit.http.edge.body import BODILESS
from servicekit.http.edge.hot import HotRoute
from servicekit.http.openapi.answers import REF, ProblemDocument, headers_of, links_of, refusals
from servicekit.http.routes.dependencies import DECLARED, KEY_HEADER

_OK: Final = 200
_NO_NUL: Final = r"^[^\x00]*$"
_OF_A_BODY: Final = (
    problems.MALFORMED_JSON,
    problems.BODY_TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.INVALID_REQUEST,
)
_OF_A_HEAD: Final = (problems.MALFORMED_HTTP, problems.REPEATED_HEADER)
_ALWAYS: Final = (
    *_OF_A_HEAD,
    problems.MALFORMED_JSON,
    problems.INVALID_IDEMPOTENCY_KEY,
    problems.INVALID_QUERY,
    problems.UNAUTHENTICATED,
    problems.IN_FLIGHT,
    problems.BODY_TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.INVALID_REQUEST,
    problems.IDEMPOTENCY_KEY_REUSED,
    problems.OVERLOADED,
    problems.UNAVAILABLE,
    problems.OUTCOME_UNKNOWN,
)
"""What any command may answer besides its own refusals."""


def install_openapi(app: FastAPI, routers: Sequence[APIRouter], hot_routes: Sequence[HotRoute[Any]]) -> None:
    """Make `/openapi.json` tell of *hot_routes* too, and of what the routes of *routers* refuse."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, routers, hot_routes)
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _document(app: FastAPI, routers: Sequence[APIRouter], hot_routes: Sequence[HotRoute[Any]]) -> dict[str, Any]:
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    paths: dict[str, Any] = document.setdefault("paths", {})
    for operations in paths.values():
        for operation in operations.values():
            _correct(operation)
    for route in (each for router in routers for each in router.routes):
        assert isinstance(route, APIRoute)
        for method in route.methods or ():
            _declare(paths[route.path_format][method.lower()], method, route)
    types = [ProblemDocument, *_types_of(hot_routes)]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    by_type = dict(zip(types, schemas, strict=True))
    for hot in hot_routes:
        paths.setdefault(hot.path, {})[hot.method.lower()] = _operation(hot, by_type)
    known: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    known.pop("HTTPValidationError", None)
    known.pop("ValidationError", None)
    known.update(components)
    return document


def _correct(operation: dict[str, Any]) -> None:
    """Take out what FastAPI says of every route and is not so here: errors of its own, and null in a query."""
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        options = [option for option in schema.pop("anyOf", ()) if option != {"type": "null"}]
        assert len(options) <= 1, parameter["name"]
        schema.update(*options)
        if schema.get("type") == "string" and not {"pattern", "enum", "format"} & set(schema):
            schema["pattern"] = _NO_NUL


def _declare(operation: dict[str, Any], method: str, route: APIRoute) -> None:
    """Add the headers that *route* reads by its dependencies, and what they, its query and its body may refuse."""
    declared = [DECLARED[call] for call in _calls(route.dependant) if call in DECLARED]
    codes = [*_OF_A_HEAD, problems.INVALID_QUERY, *(code for each in declared for code in each.problems)]
    if method not in BODILESS:
        codes += _OF_A_BODY
    headers = [dict(each.header) for each in declared if each.header is not None]
    if headers:
        operation.setdefault("parameters", []).extend(headers)
    answered = headers_of({name: said for each in declared for name, said in each.answered.items()})
    if answered:
        operation["responses"][str(route.status_code or _OK)]["headers"] = answered
    for status, told in refusals(codes).items():
        own = operation["responses"].setdefault(status, {"description": ""})
        description = f"{own['description']} {told['description']}".strip()
        own.update(told | {"description": description})


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)


def _types_of(hot_routes: Sequence[HotRoute[Any]]) -> list[Any]:
    types = [route.request for route in hot_routes]
    types += [route.response for route in hot_routes if route.response is not None]
    return list(dict.fromkeys(types))


def _operation(route: HotRoute[Any], schemas: Mapping[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done, or what would be done in a dry run."}
    if route.response is not None:
        success["content"] = {"application/json": {"schema": schemas[route.response]}}
    success["headers"] = headers_of(route.response_headers)
    return {
        "operationId": route.operation_id,
        "summary": route.summary,
        "description": route.description,
        "tags": list(route.tags),
        "parameters": _parameters(route),
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas[route.request]}}},
        "responses": {**_successes(route, success), **refusals([*_ALWAYS, *route.problems])},
    }


def _successes(route: HotRoute[Any], success: dict[str, Any]) -> dict[str, Any]:
    """Return the success by status: a dry run of what creates is a 200, and leads nowhere."""
    found = {str(route.status): {**success, "links": links_of(route.links)} if route.links else success}
    return found if route.status == _OK else {str(_OK): {**success, "description": "A dry run."}, **found}


def _parameters(route: HotRoute[Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            **KEY_HEADER,
            "required": False,
            "description": "Needed unless dry_run is true: a repeat with the same key answers the stored response.",
        },
        {
            "name": "dry_run",
            "in": "query",
            "required": False,
            "description": "Answer what would happen and write nothing.",
            "schema": {"type": "boolean", "default": False},
        },
    ]
    if "{" in route.path:
        name = route.path[route.path.index("{") + 1 : route.path.index("}")]
        schema = {"type": "string", "format": "uuid"}
        parameters.insert(0, {"name": name, "in": "path", "required": True, "schema": schema})
    return parameters
