"""Routes every process has: health and metrics."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from contracts import problems
from servicekit.http.health import Check, HealthCheck, checked
from servicekit.http.openapi.answers import declared, page_content
from servicekit.http.routes.responses import json_response
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
        return json_response(await checked(check))

    return page


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
