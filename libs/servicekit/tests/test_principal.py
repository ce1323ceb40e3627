"""Who asks: named by settings in development only, and stable in what scopes the keys."""

from uuid import UUID

import pytest
from starlette.testclient import TestClient

from servicekit.http.app import create_app
from servicekit.principal import SERVICE_SUBJECTS, Principal, PrincipalError, client_of, principals
from servicekit.settings import Mode, ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry

TENANT = UUID("00000000-0000-7000-8000-000000000001")


def test_in_development_the_settings_name_the_principal() -> None:
    principal = principals(ServiceSettings(default_tenant_id=TENANT, development_subject="alice"))([])

    assert (principal.tenant_id, principal.subject) == (TENANT, "alice")
    assert principal.client == client_of(TENANT, "alice")


def test_outside_development_the_settings_are_no_credential() -> None:
    with pytest.raises(PrincipalError):
        principals(ServiceSettings(mode=Mode.PRODUCTION))([])


def test_a_production_process_still_answers_its_health() -> None:
    telemetry = Telemetry("probe", "api", "1", open_registry("probe", "api", "1"), Tracing("probe", 0.0))
    app = create_app(title="P", settings=ServiceSettings(mode=Mode.PRODUCTION), telemetry=telemetry)

    assert TestClient(app).get("/health/ready").status_code == 200


@pytest.mark.parametrize("subject", [*sorted(SERVICE_SUBJECTS), "Fraud", "WALLET"])
def test_no_request_acts_as_one_of_our_own_processes(subject: str) -> None:
    with pytest.raises(PrincipalError):
        Principal(TENANT, subject, client_of(TENANT, subject))
    with pytest.raises(PrincipalError):
        principals(ServiceSettings(development_subject=subject))


@pytest.mark.parametrize(
    ("subject", "client"),
    [("alice", "bff59431-1b48-852d-8e98-e21d1bccc417"), ("", "1ead02f2-ef44-8466-a136-f9b9acdd3bf3")],
)
def test_the_scope_of_keys_never_changes(subject: str, client: str) -> None:
    assert str(client_of(TENANT, subject)) == client


def test_another_tenant_is_another_client() -> None:
    assert client_of(TENANT, "alice") != client_of(UUID(int=TENANT.int + 1), "alice")
