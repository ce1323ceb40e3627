"""One OpenAPI document for both engines, made of what routes declare and of what decodes their requests."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from contracts import problems
from contracts.scopes import Kind
from servicekit.access.admission import Access
from servicekit.http.edge.body import BODILESS
from servicekit.http.edge.matching import PARAMETER
from servicekit.http.openapi.responses import BYTES, REF, ProblemDocument, headers_of, links_of, refusals
from servicekit.http.route import Engine, PageOf, Route, is_struct
from servicekit.http.routes.dependencies import DECLARED, KEY_HEADER, Declared

_OK: Final = 200
_ID: Final = {"type": "string", "format": "uuid"}
_NO_NUL: Final = r"^[^\x00]*$"
_OF_A_BODY: Final = (
    problems.MALFORMED_JSON,
    problems.BODY_TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.INVALID_REQUEST,
)
_OF_A_HEAD: Final = (problems.MALFORMED_HTTP, problems.REPEATED_HEADER)
_OF_ADMISSION: Final = (
    problems.UNAUTHENTICATED,
    problems.TOKEN_EXPIRED,
    problems.KEY_REVOKED,
    problems.ADDRESS_NOT_ALLOWED,
    problems.FORBIDDEN,
    problems.RATE_LIMITED,
    problems.POSITION_NOT_REACHED,
    problems.ACCESS_STALE,
)
_LIMITS: Final[Mapping[str, str]] = {
    "RateLimit-Policy": "The caller's tightest limit: q units, all back after w seconds.",
    "RateLimit": "What remains of it: r units, and the seconds until all are back.",
}
"""The headers of every answer to somebody known."""
_BEARER: Final = "bearer"
_ALWAYS: Final = (
    *_OF_A_HEAD,
    *_OF_ADMISSION,
    problems.MALFORMED_JSON,
    problems.INVALID_IDEMPOTENCY_KEY,
    problems.INVALID_QUERY,
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


def install_openapi(app: FastAPI, router: APIRouter, routes: Sequence[Route]) -> None:
    """Make `/openapi.json` tell all that *routes* declare; *router* carries the ordinary ones among them."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, router, routes)
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _document(app: FastAPI, router: APIRouter, routes: Sequence[Route]) -> dict[str, Any]:
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    paths: dict[str, Any] = document.setdefault("paths", {})
    for operations in paths.values():
        for operation in operations.values():
            _correct(operation)
    structs = _structs(routes)
    schemas, components = msgspec.json.schema_components(structs, ref_template=REF)
    by_struct = dict(zip(structs, schemas, strict=True))
    asked = {each.operation_id: each.dependant for each in router.routes if isinstance(each, APIRoute)}
    for route in routes:
        operations = paths.setdefault(route.path, {})
        if route.engine is Engine.COMMAND:
            operations[route.method.lower()] = _operation(route, by_struct)
        else:
            _declare(operations[route.method.lower()], route, asked[route.operation_id], by_struct)
        operations[route.method.lower()].update(_admission(route.access))
        if route.method not in BODILESS:
            operations[route.method.lower()]["x-body-max-bytes"] = route.body_max_bytes
    document.setdefault("components", {})["securitySchemes"] = {
        _BEARER: {"type": "http", "scheme": "bearer", "description": "An API key, or a token of a registered issuer."}
    }
    known: dict[str, Any] = document["components"].setdefault("schemas", {})
    known.pop("HTTPValidationError", None)
    known.pop("ValidationError", None)
    assert not known.keys() & components.keys(), "two schemas of one name"
    known.update(components)
    return document


def _admission(access: Access) -> dict[str, Any]:
    """Return what an operation says of who may ask for it, made of the very object that admits."""
    scope = access.scope
    return {
        "security": [{_BEARER: [] if scope is None else [scope.name]}],
        "x-access": {
            "scope": None if scope is None else scope.name,
            "kinds": sorted(Kind) if scope is None else sorted(scope.kinds),
            "owned": access.owned,
            "cost": access.cost.value,
        },
    }


def _structs(routes: Sequence[Route]) -> list[type[msgspec.Struct]]:
    requests = [route.request for route in routes if is_struct(route.request)]
    answered = [route.answered_struct for route in routes if route.answered_struct is not None]
    return list(dict.fromkeys([ProblemDocument, *requests, *answered]))


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


def _declare(operation: dict[str, Any], route: Route, dependant: Dependant, schemas: Mapping[Any, Any]) -> None:
    """Add what *route* declares, and what its handler's dependencies, its query and its body read and may refuse."""
    declared = [DECLARED[call] for call in _calls(dependant) if call in DECLARED]
    codes = [
        *_OF_A_HEAD,
        *_OF_ADMISSION,
        problems.INVALID_QUERY,
        *(code for each in declared for code in each.problems),
    ]
    if route.method not in BODILESS:
        codes += _OF_A_BODY
    headers = [dict(each.header) for each in declared if each.header is not None]
    if headers:
        operation.setdefault("parameters", []).extend(headers)
    responses = operation["responses"]
    responses.update(refusals(route.problems))
    _describe_success(responses[str(route.status)], route, declared, schemas)
    for each in declared:
        for other, said in each.others.items():
            responses[str(other)] = {"description": said, "headers": headers_of({**_LIMITS, **each.answered})}
    for status, told in refusals(codes).items():
        own = responses.setdefault(status, {"description": ""})
        description = f"{own['description']} {told['description']}".strip()
        own.update(told | {"description": description})


def _describe_success(
    success: dict[str, Any], route: Route, declared: Sequence[Declared], schemas: Mapping[Any, Any]
) -> None:
    if route.answered_struct is not None:
        success.update(description="Found.", content={"application/json": {"schema": _schema(route, schemas)}})
    if route.media_types:
        of_bytes = {each: {"schema": dict(BYTES)} for each in route.media_types}
        success["content"] = of_bytes if route.response is None else {**success["content"], **of_bytes}
    if route.links:
        success["links"] = links_of(route.links)
    answered = {**_LIMITS, **route.response_headers}
    for each in declared:
        answered |= each.answered
    success["headers"] = headers_of(answered)


def _schema(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the schema of a response of structs."""
    if not isinstance(route.response, PageOf):
        return dict(schemas[route.response])
    return {
        "type": "object",
        "required": ["data", "next_cursor"],
        "properties": {
            "data": {"type": "array", "items": schemas[route.response.item]},
            "next_cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
    }


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)


def _operation(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done, or what would be done in a dry run."}
    if route.response is not None:
        success["content"] = {"application/json": {"schema": _schema(route, schemas)}}
    success["headers"] = headers_of({**_LIMITS, **route.response_headers})
    body: dict[str, Any] = {}
    if route.request is not None:
        content = {"application/json": {"schema": schemas[route.request]}}
        body["requestBody"] = {"required": True, "content": content}
    return {
        "operationId": route.operation_id,
        "summary": route.summary,
        "description": route.description,
        "tags": list(route.tags),
        "parameters": _parameters(route),
        **body,
        "responses": {**_successes(route, success), **refusals([*_ALWAYS, *route.problems])},
    }


def _successes(route: Route, success: dict[str, Any]) -> dict[str, Any]:
    """Return the success by status: a dry run of what creates is a 200, and leads nowhere."""
    found = {str(route.status): {**success, "links": links_of(route.links)} if route.links else success}
    return found if route.status == _OK else {str(_OK): {**success, "description": "A dry run."}, **found}


def _parameters(route: Route) -> list[dict[str, Any]]:
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
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": route.path_schemas.get(name, _ID)}
        for name in PARAMETER.findall(route.path)
    ]
    return in_path + parameters
