"""A request that hangs is given up at its deadline; an answer that has begun may take longer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from fastapi.responses import StreamingResponse
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from servicekit.http.app import create_app
from servicekit.http.route import Route
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import ANYBODY_MAY, AdmitsAs

DEADLINE_S = 0.1


async def hangs() -> None:
    await asyncio.sleep(60)


async def own_timeout() -> None:
    raise TimeoutError


async def streams() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        yield "first\n"
        await asyncio.sleep(3 * DEADLINE_S)
        yield "last\n"

    return StreamingResponse(lines(), media_type="text/plain")


HANDLERS: dict[str, Callable[[], Awaitable[object]]] = {
    "/v1/hangs": hangs,
    "/v1/own-timeout": own_timeout,
    "/v1/streams": streams,
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    tracing = Tracing("probe", 0.0, SimpleSpanProcessor(InMemorySpanExporter()))
    app = create_app(
        title="Probe",
        authority=AdmitsAs(),
        settings=ServiceSettings(request_deadline_s=DEADLINE_S),
        telemetry=Telemetry("probe", "api", "1.2.3", CollectorRegistry(), tracing),
        routes=[
            Route(method="GET", path=path, handler=handler, access=ANYBODY_MAY, operation_id=path, summary="Probe.")
            for path, handler in HANDLERS.items()
        ],
    )
    yield TestClient(app)
    tracing.close()


def test_a_request_that_hangs_is_answered_503_with_a_time_to_come_again(client: TestClient) -> None:
    answer = client.get("/v1/hangs")

    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"


def test_a_timeout_of_its_own_is_a_bug_and_no_deadline(client: TestClient) -> None:
    answer = client.get("/v1/own-timeout")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


def test_an_answer_that_has_begun_is_finished_beyond_the_deadline(client: TestClient) -> None:
    answer = client.get("/v1/streams")

    assert (answer.status_code, answer.text) == (200, "first\nlast\n")
