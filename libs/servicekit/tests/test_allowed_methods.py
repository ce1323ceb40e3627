"""A 405 names every method that the path takes, whichever route takes it."""

import pytest
from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from servicekit.http import create_app
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry, Tracing

router = APIRouter()


@router.get("/things/{thing_id}")
async def read(thing_id: str) -> str:
    return thing_id


@router.delete("/things/{thing_id}")
async def remove(thing_id: str) -> str:
    return thing_id


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE"])
def test_every_method_of_the_path_is_allowed(method: str) -> None:
    telemetry = Telemetry("probe", "api", "1", CollectorRegistry(), Tracing("probe", 0.0))
    app = create_app(title="Probe", settings=ServiceSettings(), telemetry=telemetry, routers=[router])

    answer = TestClient(app).request(method, "/things/7")

    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")
