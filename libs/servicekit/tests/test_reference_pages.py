"""The pages that are made from registries, and the routes that serve the same registries."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from pydantic import Field
from starlette.testclient import TestClient

from contracts.problems import PROBLEM_CODES
from contracts.registry import PUBLISHED_TYPES
from servicekit.errors_page import errors_page
from servicekit.health import Check
from servicekit.http.app import create_app, create_process_app
from servicekit.settings import ServiceSettings
from servicekit.settings_page import load, settings_page
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry
from testkit.access import AdmitsAs

DOCS = Path(__file__).parents[3] / "docs"


class ProbeSettings(ServiceSettings):
    """What the probe takes.

    More words.
    """

    probe_port: int = Field(description="Where it listens.")


def telemetry() -> Telemetry:
    return Telemetry("probe", "api", "1.2.3", open_registry("probe", "api", "1.2.3"), Tracing("probe", 0.0))


@pytest.fixture
def client() -> TestClient:
    return TestClient(
        create_app(title="Probe", authority=AdmitsAs(), settings=ServiceSettings(), telemetry=telemetry())
    )


def test_the_errors_page_is_up_to_date() -> None:
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == errors_page(), "run make docs"


def test_the_settings_page_names_every_setting() -> None:
    page = settings_page([ProbeSettings])

    assert "| `TRACE_SAMPLE_RATIO` | `0.01` |" in page
    assert "What the probe takes.\n\n" in page
    assert "| `PROBE_PORT` | required | Where it listens. |" in page
    assert page.count("`LOG_LEVEL`") == 1


def test_a_settings_class_is_loaded_by_its_path() -> None:
    assert load("servicekit.settings:ServiceSettings") is ServiceSettings


@pytest.mark.parametrize("code", sorted(PROBLEM_CODES))
def test_a_problem_type_resolves(client: TestClient, code: str) -> None:
    page = client.get(f"/problems/{code}")

    assert (page.status_code, page.json()["status"]) == (200, PROBLEM_CODES[code].status)


@pytest.mark.parametrize("event_type", sorted(PUBLISHED_TYPES))
def test_a_data_schema_resolves(client: TestClient, event_type: str) -> None:
    page = client.get(f"/schemas/{event_type}")

    assert (page.status_code, page.headers["content-type"]) == (200, "application/schema+json")


def test_the_page_of_the_document_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    named = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']*)["']""", page.text)
    files = [name for name in named if name != "data:,"]

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "//" not in re.sub(r"<!--.*?-->", "", page.text)
    assert '"validatorUrl": null' in page.text
    assert "openapi.json" in files
    assert len(files) == 3
    for name in files:
        assert not name.startswith("/"), "a gateway shows the page elsewhere than at the root"
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert answer.content
    style = client.get("/" + next(name for name in files if name.endswith(".css"))).text
    assert re.findall(r"url\(\s*[\"']?(?!data:|[\"')])", style) == []


def test_the_files_of_the_page_may_be_kept(client: TestClient) -> None:
    version = metadata.version("fastapi-offline")

    answer = client.get(f"/docs/{version}/swagger-ui-bundle.js")

    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/docs/1/swagger-ui.css", "/docs/{}/core.py", "/docs/{}/..%2fcore.py"])
def test_nothing_else_is_served_beside_the_page(client: TestClient, path: str) -> None:
    assert client.get(path.format(metadata.version("fastapi-offline"))).status_code == 404


@pytest.mark.parametrize("path", ["/problems/nonsense", "/schemas/nonsense", "/nonsense", "/health/ready/"])
def test_what_is_not_there_is_a_problem_document(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_process_without_an_api_has_health_and_metrics() -> None:
    async def ready() -> dict[str, Check]:
        return {"database": Check(ok=True, detail="reached")}

    async def deep() -> dict[str, Check]:
        return {"broker": Check(ok=False, detail="gone")}

    app = create_process_app(settings=ServiceSettings(), telemetry=telemetry(), readiness=ready, deep=deep)
    client = TestClient(app, client=("127.0.0.1", 50_000))

    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").json()["checks"]["database"] == {"ok": True, "detail": "reached"}
    assert client.get("/health/deep").status_code == 503
    assert client.get("/health/deep").json()["checks"]["broker"]["detail"] == "gone"
    assert 'build_info{process="api",service="probe",version="1.2.3"} 1.0' in client.get("/metrics").text


def test_a_check_that_raises_is_unhealthy() -> None:
    async def ready() -> dict[str, Check]:
        raise ConnectionRefusedError("secret")

    app = create_process_app(settings=ServiceSettings(), telemetry=telemetry(), readiness=ready)

    answer = TestClient(app).get("/health/ready")

    assert answer.status_code == 503
    assert "secret" not in answer.text
