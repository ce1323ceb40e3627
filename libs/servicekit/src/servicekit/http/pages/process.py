"""Routes every process has: health and metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from contracts import problems
from servicekit.health import Check, HealthCheck
from servicekit.http.openapi.responses import declared, page_content
from servicekit.http.problems import Problem, problem_from
from servicekit.http.routes.responses import json_response
from servicekit.telemetry import Telemetry

CHECK_TIMEOUT_S: Final = 2.0


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
                200: page_content("application/json", _HEALTH),
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
        responses={**declared(problems.INVALID_QUERY), 200: page_content("text/plain", {"type": "string"})},
    )
    app.include_router(router)


def _health_page(check: HealthCheck) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return json_response(await _checked(check))

    return page


async def _checked(check: HealthCheck) -> bytes:
    """Return the JSON of a healthy *check*; raise Problem `unavailable` with the checks when one is not ok."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            checks = dict(await check())
    except TimeoutError:
        checks = {"health": Check(ok=False, detail=f"The check took more than {CHECK_TIMEOUT_S} s.")}
    except Exception as error:  # noqa: BLE001  whatever breaks a check is what the check is for
        checks = {"health": Check(ok=False, detail=problem_from(error).detail)}
    if all(state.ok for state in checks.values()):
        return msgspec.json.encode({"status": "ok", "checks": checks})
    raise Problem(problems.UNAVAILABLE, "The process is not healthy.", checks=checks)


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
