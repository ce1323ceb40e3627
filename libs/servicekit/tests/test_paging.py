"""Cursors are opaque, typed and bound to their query; limits are bounded."""

import pytest
from fastapi import APIRouter
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from servicekit.http.app import create_app
from servicekit.http.problems import Problem
from servicekit.http.routes.dependencies import MinPosition
from servicekit.http.routes.paging import Page, decode_cursor, encode_cursor
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry

router = APIRouter()


@router.get("/v1/things")
async def things(page: Page, position: MinPosition) -> dict[str, object]:
    return {"limit": page.limit, "cursor": page.cursor, "position": position}


@pytest.fixture
def client() -> TestClient:
    telemetry = Telemetry("probe", "api", "1", open_registry("probe", "api", "1"), Tracing("probe", 0.0))
    return TestClient(create_app(title="P", settings=ServiceSettings(), telemetry=telemetry, routers=[router]))


@given(st.text(), st.tuples(st.integers(0, 2**62), st.text(max_size=50)))
def test_a_cursor_is_read_back(fingerprint: str, position: tuple[int, str]) -> None:
    cursor = encode_cursor(fingerprint, position)

    assert decode_cursor(cursor, fingerprint, tuple[int, str]) == position


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!", "a" * 513, "AAAAAAAAAAAA", "\u00e9", "====", encode_cursor("b", (1,))]
)
def test_another_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Problem, match="invalid_cursor"):
        decode_cursor(cursor, "a", tuple[int])


def test_a_cursor_of_another_shape_is_refused() -> None:
    with pytest.raises(Problem, match="invalid_cursor"):
        decode_cursor(encode_cursor("a", ("x",)), "a", tuple[int])


def test_a_page_has_fifty_items_unless_asked_otherwise(client: TestClient) -> None:
    assert client.get("/v1/things").json() == {"limit": 50, "cursor": None, "position": {}}
    assert client.get("/v1/things?limit=200&cursor=x").json()["limit"] == 200


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", "", "1e2"])
def test_a_limit_out_of_range_is_refused(client: TestClient, limit: str) -> None:
    answer = client.get(f"/v1/things?limit={limit}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert answer.json()["errors"][0]["pointer"] == "/limit"


def test_a_parameter_given_twice_is_refused(client: TestClient) -> None:
    assert client.get("/v1/things?limit=1&limit=2").json()["errors"][0]["code"] == "too_many"


def test_a_nul_in_the_query_is_refused(client: TestClient) -> None:
    error = client.get("/v1/things?cursor=a%00b").json()["errors"][0]

    assert (error["pointer"], error["code"]) == ("/cursor", "invalid_text")


def test_min_position_is_parsed(client: TestClient) -> None:
    answer = client.get("/v1/things", headers={"min-position": "3-17, 5-1"})

    assert answer.json()["position"] == {"3": 17, "5": 1}


@pytest.mark.parametrize("value", ["", "x", "64-1", "5-1, 3-17", "3"])
def test_a_malformed_min_position_is_refused(client: TestClient, value: str) -> None:
    answer = client.get("/v1/things", headers={"min-position": value})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_position")
