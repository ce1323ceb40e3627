"""Routes every process has: health and metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
from fastapi import APIRouter, FastAPI, Request
from prometheus_client.exposition import choose_encoder
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
    for name, checks, summary in (
        ("live", (live,), "Tell whether the process runs."),
        ("ready", (readiness,), "Tell whether requests may be sent here."),
        (
            "deep",
            (deep, telemetry.dependencies.check, telemetry.checked),
            "Tell how everything behind the process is; never a reason to send requests elsewhere.",
        ),
    ):
        router.add_api_route(
            f"/health/{name}",
            _health_page(checks),
            summary=summary,
            operation_id=f"health_{name}",
            response_class=Response,
            responses={
                **declared(problems.INVALID_QUERY, problems.UNAVAILABLE),
                200: page_content("application/json", _HEALTH),
            },
        )

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        # In a thread: thousands of series take tens of milliseconds, for which no command is to wait.
        page = await asyncio.to_thread(encode, telemetry.registry)
        return Response(page, headers={"content-type": content_type})

    router.add_api_route(
        "/metrics",
        metrics,
        summary="Answer the process's figures for Prometheus.",
        operation_id="metrics",
        response_class=Response,
        responses={**declared(problems.INVALID_QUERY), 200: page_content("text/plain", {"type": "string"})},
    )
    app.include_router(router)


def _health_page(checks: Sequence[HealthCheck]) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return json_response(await _checked(checks))

    return page


async def _checked(checks: Sequence[HealthCheck]) -> bytes:
    """Return the JSON of healthy *checks*; raise Problem `unavailable` with all of them when one is not ok.

    They look side by side: one that breaks or hangs hides nothing of what the others found.
    """
    told: dict[str, Check] = {}
    for found in await asyncio.gather(*(_looked(check) for check in checks)):
        told.update(found)
    if all(state.ok for state in told.values()):
        return msgspec.json.encode({"status": "ok", "checks": told})
    raise Problem(problems.UNAVAILABLE, "The process is not healthy.", checks=told)


async def _looked(check: HealthCheck) -> Mapping[str, Check]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return {"health": Check(ok=False, detail=f"The check took more than {CHECK_TIMEOUT_S} s.")}
    except Exception as error:  # noqa: BLE001  whatever breaks a check is what the check is for
        return {"health": Check(ok=False, detail=problem_from(error).detail)}


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
