"""A 405 names every method that the path takes, whichever route takes it."""

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from servicekit.http.app import create_app
from servicekit.http.route import Route
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import ANYBODY_MAY, AdmitsAs


async def read(thing_id: str) -> str:
    return thing_id


async def read_all() -> list[str]:
    return ["7"]


async def remove(thing_id: str) -> str:
    return thing_id


ROUTES = [
    Route(
        method=method, path=path, handler=handler, access=ANYBODY_MAY, operation_id=handler.__name__, summary="Probe."
    )
    for method, path, handler in (
        ("GET", "/things/{thing_id}", read),
        ("GET", "/things", read_all),
        ("DELETE", "/things/{thing_id}", remove),
    )
]


@pytest.fixture
def client() -> TestClient:
    telemetry = Telemetry("probe", "api", "1", CollectorRegistry(), Tracing("probe", 0.0))
    app = create_app(
        title="Probe", authority=AdmitsAs(), settings=ServiceSettings(), telemetry=telemetry, routes=ROUTES
    )
    return TestClient(app, client=("127.0.0.1", 50_000))


@pytest.mark.parametrize("path", ["/things", "/things/7", "/health/ready", "/metrics", "/openapi.json", "/nowhere"])
def test_head_is_answered_as_get_is_without_the_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)

    assert head.status_code == get.status_code
    assert head.headers.keys() == get.headers.keys()
    assert head.content == b""


@pytest.mark.parametrize("path", ["/health/ready%0A", "/things%0A", "/things/7%0A"])
def test_no_newline_is_let_through_at_the_end_of_a_path(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE"])
def test_every_method_of_the_path_is_allowed(client: TestClient, method: str) -> None:
    answer = client.request(method, "/things/7")

    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")
