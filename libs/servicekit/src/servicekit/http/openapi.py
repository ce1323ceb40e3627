"""One OpenAPI document for both kinds of routes: hot operations come from the structs that decode them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from contracts import problems
from contracts.problems import ProblemCode
from servicekit.http.hot import HotRoute
from servicekit.http.problems import FieldError

_REF: Final = "#/components/schemas/{name}"
_ALWAYS: Final = (
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


class ProblemDocument(msgspec.Struct, kw_only=True):
    """A problem document (RFC 9457); members beyond these are facts of its code."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[FieldError] = []


def install_openapi(app: FastAPI, hot_routes: Sequence[HotRoute[Any]]) -> None:
    """Make `/openapi.json` tell of *hot_routes* too, and of problem documents instead of FastAPI's own errors."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, hot_routes)
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _document(app: FastAPI, hot_routes: Sequence[HotRoute[Any]]) -> dict[str, Any]:
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    paths: dict[str, Any] = document.setdefault("paths", {})
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _problem_response("An error.")
    types = [ProblemDocument, *_types_of(hot_routes)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(types, schemas, strict=True))
    for route in hot_routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    known: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    known.pop("HTTPValidationError", None)
    known.pop("ValidationError", None)
    known.update(components)
    return document


def _types_of(hot_routes: Sequence[HotRoute[Any]]) -> list[Any]:
    types = [route.request for route in hot_routes]
    types += [route.response for route in hot_routes if route.response is not None]
    return list(dict.fromkeys(types))


def _operation(route: HotRoute[Any], schemas: Mapping[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done, or what would be done in a dry run."}
    if route.response is not None:
        success["content"] = {"application/json": {"schema": schemas[route.response]}}
    success["headers"] = {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in route.response_headers.items()
    }
    return {
        "operationId": route.operation_id,
        "summary": route.summary,
        "description": route.description,
        "tags": list(route.tags),
        "parameters": _parameters(route),
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas[route.request]}}},
        "responses": {str(route.status): success, **_refusals([*_ALWAYS, *route.problems])},
    }


def _parameters(route: HotRoute[Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Needed unless dry_run is true: a repeat with the same key answers the stored response.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
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
        parameters.insert(0, {"name": name, "in": "path", "required": True, "schema": {"type": "string"}})
    return parameters


def _refusals(codes: Sequence[ProblemCode]) -> dict[str, Any]:
    by_status: dict[str, list[ProblemCode]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(str(code.status), []).append(code)
    return {
        status: _problem_response(" ".join(f"`{code.code}`: {code.title}." for code in codes))
        for status, codes in sorted(by_status.items())
    }


def _problem_response(description: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name=ProblemDocument.__name__)}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}
