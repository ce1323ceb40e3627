"""What only hot routes have: dry runs, ids in paths, larger bodies."""

import msgspec
import pytest
from starlette.testclient import TestClient

from servicekit.http.app import create_app
from servicekit.http.edge.decoding import decode_body
from servicekit.http.edge.hot import HotRequest, HotResponse, HotRoute
from servicekit.http.problems import Problem
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry


class Command(msgspec.Struct, forbid_unknown_fields=True):
    name: str


async def echo(request: HotRequest[Command]) -> HotResponse:
    seen = {"key": request.idempotency_key, "dry_run": request.dry_run, "id": request.path_id, "path": request.path}
    return HotResponse(201, msgspec.json.encode(seen), [(b"ledger-position", b"1-2")])


def route(path: str, *, body_max_bytes: int = 65_536) -> HotRoute[Command]:
    return HotRoute(
        path=path,
        request=Command,
        handler=echo,
        operation_id=path.replace("/", "_"),
        summary="Echo.",
        body_max_bytes=body_max_bytes,
    )


@pytest.fixture
def client() -> TestClient:
    telemetry = Telemetry("probe", "api", "1", open_registry("probe", "api", "1"), Tracing("probe", 0.0))
    routes = [route("/v1/things"), route("/v1/things/{id}/freeze"), route("/v1/batches", body_max_bytes=1_000_000)]
    return TestClient(create_app(title="Probe", settings=ServiceSettings(), telemetry=telemetry, hot_routes=routes))


def test_a_command_gets_its_key_and_its_own_headers_back(client: TestClient) -> None:
    answer = client.post("/v1/things", json={"name": "a"}, headers={"idempotency-key": "k"})

    assert answer.json() == {"key": "k", "dry_run": False, "id": None, "path": "/v1/things"}
    assert answer.headers["ledger-position"] == "1-2"


def test_a_dry_run_needs_no_key(client: TestClient) -> None:
    answer = client.post("/v1/things?dry_run=true", json={"name": "a"})

    assert answer.json()["dry_run"] is True
    assert answer.json()["key"] is None


@pytest.mark.parametrize("query", ["dry_run", "dry_run=1", "dry_run=true&dry_run=true", "dry_run=TRUE", "x", "%00=1"])
def test_another_query_is_refused(client: TestClient, query: str) -> None:
    answer = client.post(f"/v1/things?{query}", json={"name": "a"}, headers={"idempotency-key": "k"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")


def test_an_id_in_the_path_is_handed_on_as_written(client: TestClient) -> None:
    answer = client.post("/v1/things/abc/freeze", json={"name": "a"}, headers={"idempotency-key": "k"})

    assert answer.json()["id"] == "abc"


@pytest.mark.parametrize("path", ["/v1/things/", "/v1/things//freeze", "/v1/things/a/b/freeze", "/v1/things/a/melt"])
def test_another_path_is_not_found(client: TestClient, path: str) -> None:
    answer = client.post(path, json={"name": "a"}, headers={"idempotency-key": "k"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_path_with_an_id_names_its_method(client: TestClient) -> None:
    assert client.get("/v1/things/abc/freeze").headers["allow"] == "POST"


def test_a_route_may_take_larger_bodies(client: TestClient) -> None:
    body = {"name": "a" * 500_000}
    key = {"idempotency-key": "k"}

    assert client.post("/v1/batches", json=body, headers=key).status_code == 201
    assert client.post("/v1/things", json=body, headers=key).status_code == 413


def test_a_number_beyond_a_double_is_malformed_where_unknown_members_are_passed_over() -> None:
    class Lenient(msgspec.Struct):
        name: str

    with pytest.raises(Problem, match="malformed_json"):
        decode_body(msgspec.json.Decoder(Lenient), b'{"name":"a","other":1e999}')
