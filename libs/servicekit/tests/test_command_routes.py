"""What only command routes have: dry runs, and headers of an answer made by hand."""

import msgspec
import pytest
from starlette.testclient import TestClient

from servicekit.http.app import create_app
from servicekit.http.edge.command import CommandRequest, CommandResponse
from servicekit.http.edge.decoding import decode_body
from servicekit.http.problems import Problem
from servicekit.http.route import Engine, Route
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry
from testkit.access import ANYBODY_MAY, AdmitsAs


class Command(msgspec.Struct, forbid_unknown_fields=True):
    name: str


async def echo(request: CommandRequest[Command]) -> CommandResponse:
    seen = {"key": request.idempotency_key, "dry_run": request.dry_run, "path": request.path}
    return CommandResponse(201, msgspec.json.encode(seen), [(b"ledger-position", b"1-2")])


@pytest.fixture
def client() -> TestClient:
    telemetry = Telemetry("probe", "api", "1", open_registry("probe", "api", "1"), Tracing("probe", 0.0))
    route = Route(
        engine=Engine.COMMAND,
        method="POST",
        path="/v1/things",
        request=Command,
        handler=echo,
        access=ANYBODY_MAY,
        operation_id="echo",
        summary="Echo.",
        status=201,
    )
    return TestClient(
        create_app(title="Probe", authority=AdmitsAs(), settings=ServiceSettings(), telemetry=telemetry, routes=[route])
    )


def test_a_command_gets_its_key_and_its_own_headers_back(client: TestClient) -> None:
    answer = client.post("/v1/things", json={"name": "a"}, headers={"idempotency-key": "k"})

    assert answer.json() == {"key": "k", "dry_run": False, "path": "/v1/things"}
    assert answer.headers["ledger-position"] == "1-2"


def test_a_dry_run_needs_no_key(client: TestClient) -> None:
    answer = client.post("/v1/things?dry_run=true", json={"name": "a"})

    assert answer.json()["dry_run"] is True
    assert answer.json()["key"] is None


@pytest.mark.parametrize("query", ["dry_run", "dry_run=1", "dry_run=true&dry_run=true", "dry_run=TRUE", "x", "%00=1"])
def test_another_query_is_refused(client: TestClient, query: str) -> None:
    answer = client.post(f"/v1/things?{query}", json={"name": "a"}, headers={"idempotency-key": "k"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")


def test_a_number_beyond_a_double_is_malformed_where_unknown_members_are_passed_over() -> None:
    class Lenient(msgspec.Struct):
        name: str

    with pytest.raises(Problem, match="malformed_json"):
        decode_body(msgspec.json.Decoder(Lenient), b'{"name":"a","other":1e999}')
