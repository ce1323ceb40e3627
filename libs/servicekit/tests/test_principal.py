"""Who asks: stable in what scopes the keys, and never one of our own processes."""

from uuid import UUID

import pytest
from starlette.testclient import TestClient

from servicekit.http.app import create_app
from servicekit.http.pages.public import UndeclaredRoute, require_declared
from servicekit.principal import SERVICE_SUBJECTS, ReservedSubject, client_of
from servicekit.settings import Mode, ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry
from testkit.access import AdmitsAs, principal_of

TENANT = UUID("00000000-0000-7000-8000-000000000001")


def make_client(address: str = "127.0.0.1", **settings: object) -> TestClient:
    telemetry = Telemetry("probe", "api", "1", open_registry("probe", "api", "1"), Tracing("probe", 0.0))
    app = create_app(title="P", settings=ServiceSettings(**settings), telemetry=telemetry, authority=AdmitsAs())  # type: ignore[arg-type]
    return TestClient(app, client=(address, 50_000))


def test_a_production_process_answers_its_health_to_whoever_asks() -> None:
    assert make_client("198.51.100.7", mode=Mode.PRODUCTION).get("/health/ready").status_code == 200


@pytest.mark.parametrize("page", ["/metrics", "/health/deep"])
@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("198.51.100.7", 404), ("10.0.0.1", 404)],
)
def test_the_operators_pages_answer_to_their_networks_alone(page: str, address: str, status: int) -> None:
    answer = make_client(address).get(page)

    assert answer.status_code == status
    assert status == 200 or answer.json()["code"] == "not_found"


def test_the_operators_networks_are_a_setting() -> None:
    client = make_client("10.0.0.1", pages_from="10.0.0.0/8")

    assert client.get("/metrics").status_code == 200
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        ServiceSettings(pages_from="10.0.0.1/8")


@pytest.mark.parametrize("subject", [*sorted(SERVICE_SUBJECTS), "Fraud", "WALLET"])
def test_no_request_acts_as_one_of_our_own_processes(subject: str) -> None:
    with pytest.raises(ReservedSubject):
        principal_of(subject)


@pytest.mark.parametrize(
    ("subject", "client"),
    [("alice", "bff59431-1b48-852d-8e98-e21d1bccc417"), ("", "1ead02f2-ef44-8466-a136-f9b9acdd3bf3")],
)
def test_the_scope_of_keys_never_changes(subject: str, client: str) -> None:
    assert str(client_of(TENANT, subject)) == client


def test_another_tenant_is_another_client() -> None:
    assert client_of(TENANT, "alice") != client_of(UUID(int=TENANT.int + 1), "alice")


def test_an_application_with_an_undeclared_route_does_not_start() -> None:
    inner = make_client().app._inner._inner  # type: ignore[attr-defined]  # the FastAPI application
    inner.add_api_route("/v1/forgotten", lambda: None)

    with pytest.raises(UndeclaredRoute, match="/v1/forgotten"):
        require_declared(inner, ())
