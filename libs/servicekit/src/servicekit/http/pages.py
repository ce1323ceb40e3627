"""Routes every process has: health, metrics, and the pages that problem types and event schemas point to."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Path
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from contracts import problems
from contracts.event_types import json_schema
from contracts.problems import FIELD_CODES, PROBLEM_CODES
from contracts.registry import PUBLISHED_TYPES
from servicekit.http.answers import declared
from servicekit.http.health import Check, HealthCheck, checked
from servicekit.http.problems import Problem
from servicekit.telemetry import Telemetry


def add_process_pages(app: FastAPI, telemetry: Telemetry, readiness: HealthCheck, deep: HealthCheck) -> None:
    """Add `/health/…` and `/metrics`, which every process answers."""

    async def live() -> Mapping[str, Check]:
        detail = f"{telemetry.service} {telemetry.process} {telemetry.version}"
        return {"process": Check(ok=True, detail=detail)}

    router = APIRouter(tags=["operations"])
    for name, check, summary in (
        ("live", live, "Tell whether the process runs."),
        ("ready", readiness, "Tell whether requests may be sent here."),
        ("deep", deep, "Tell how everything behind the process is; never a reason to send requests elsewhere."),
    ):
        router.add_api_route(
            f"/health/{name}",
            _health_page(check),
            summary=summary,
            operation_id=f"health_{name}",
            response_class=Response,
            responses={
                **declared(problems.INVALID_QUERY, problems.UNAVAILABLE),
                200: _content("application/json", _HEALTH),
            },
        )

    async def metrics() -> Response:
        return Response(generate_latest(telemetry.registry), headers={"content-type": CONTENT_TYPE_LATEST})

    router.add_api_route(
        "/metrics",
        metrics,
        summary="Answer the process's figures for Prometheus.",
        operation_id="metrics",
        response_class=Response,
        responses={**declared(problems.INVALID_QUERY), 200: _content("text/plain", {"type": "string"})},
    )
    app.include_router(router)


def _health_page(check: HealthCheck) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return json_response(await checked(check))

    return page


def add_reference_pages(app: FastAPI) -> None:
    """Add `/problems/{code}` and `/schemas/{event_type}`: what problem types and event schemas resolve to."""
    router = APIRouter(tags=["reference"])

    @router.get(
        "/problems/{code}",
        summary="Tell what a problem code means.",
        operation_id="problem_page",
        response_class=Response,
        responses={**_MISSING, 200: _content("application/json", {"type": "object"})},
    )
    async def problem_page(code: Annotated[str, _one_of(PROBLEM_CODES)]) -> Response:
        problem = PROBLEM_CODES.get(code)
        if problem is None:
            raise Problem(problems.NOT_FOUND, "There is no such problem code.")
        fields = list(FIELD_CODES.values()) if problem in _WITH_FIELDS else None
        page = {"code": code, "status": problem.status, "title": problem.title, "advice": problem.advice}
        return json_response(msgspec.json.encode(page if fields is None else page | {"field_codes": fields}))

    @router.get(
        "/schemas/{event_type}",
        summary="Answer the JSON Schema of an event type.",
        operation_id="schema_page",
        response_class=Response,
        responses={**_MISSING, 200: _content("application/schema+json", {"type": "object"})},
    )
    async def schema_page(event_type: Annotated[str, _one_of(PUBLISHED_TYPES)]) -> Response:
        known = PUBLISHED_TYPES.get(event_type)
        if known is None:
            raise Problem(problems.NOT_FOUND, "There is no such event type.")
        return Response(msgspec.json.encode(json_schema(known)), media_type="application/schema+json")

    app.include_router(router)


_WITH_FIELDS = (problems.INVALID_REQUEST, problems.INVALID_QUERY)
_MISSING = declared(problems.INVALID_QUERY, problems.NOT_FOUND)
_HEALTH = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"const": "ok"},
        "checks": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["ok", "detail"],
                "properties": {"ok": {"type": "boolean"}, "detail": {"type": "string"}},
            },
        },
    },
}


def _content(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "The page.", "content": {media_type: {"schema": schema}}}


def _one_of(names: Iterable[str]) -> Any:
    """Return the declaration of a path's last part: the document names what there is, the route finds out."""
    return Path(json_schema_extra={"enum": sorted(names)})


def json_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return bytes that are JSON already as a response: what an ordinary route answers without a pydantic model."""
    return Response(body, status, headers=headers, media_type="application/json")
