"""Cursors are opaque, typed and bound to their query; limits are bounded."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest
from asyncpg.pgproto import pgproto
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from servicekit.http.app import create_app
from servicekit.http.problems import Problem
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import MinPosition
from servicekit.http.routes.paging import Page, PageRequest, decode_cursor, encode_cursor, paged
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry
from testkit.access import ANYBODY_MAY, AdmitsAs


async def things(page: Page, position: MinPosition) -> dict[str, object]:
    return {"limit": page.limit, "cursor": page.cursor, "position": position}


ROUTE = Route(
    method="GET", path="/v1/things", handler=things, access=ANYBODY_MAY, operation_id="things", summary="Things."
)


@pytest.fixture
def client() -> TestClient:
    telemetry = Telemetry("probe", "api", "1", open_registry("probe", "api", "1"), Tracing("probe", 0.0))
    return TestClient(
        create_app(title="P", authority=AdmitsAs(), settings=ServiceSettings(), telemetry=telemetry, routes=[ROUTE])
    )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    colour: str | None = None
    owner: UUID | None = None


def test_a_page_shows_one_row_less_than_is_read_and_leads_to_the_next() -> None:
    asked = paged(PageRequest(2, None), int, "things", Wanted())

    shown = asked.show([9, 7, 5], lambda row: row)
    after = paged(PageRequest(2, shown.next_cursor), int, "things", Wanted())

    assert (asked.position, asked.limit) == (None, 3)
    assert shown.rows == [9, 7]
    assert after.position == 7


@pytest.mark.parametrize("rows", [[], [9], [9, 7]])
def test_the_last_page_leads_nowhere(rows: list[int]) -> None:
    shown = paged(PageRequest(2, None), int, "things").show(rows, lambda row: row)

    assert (shown.rows, shown.next_cursor) == (rows, None)


@pytest.mark.parametrize(
    "other",
    [
        ("others", 1, Wanted(colour="red")),
        ("things", 2, Wanted(colour="red")),
        ("things", 1, Wanted(colour="blue")),
        ("things", 1, Wanted(colour="red", owner=UUID(int=1))),
        ("things", 1, Wanted()),
    ],
)
def test_a_cursor_is_for_one_list_of_one_tenant_under_one_filter(other: tuple[object, ...]) -> None:
    shown = paged(PageRequest(1, None), int, "things", 1, Wanted(colour="red")).show([9, 7], lambda row: row)

    with pytest.raises(Problem, match="invalid_cursor"):
        paged(PageRequest(1, shown.next_cursor), int, *other)


def test_an_id_of_the_drivers_own_class_is_a_position() -> None:
    at, known = datetime(2026, 1, 31, tzinfo=UTC), UUID(int=7)
    asked = paged(PageRequest(1, None), tuple[datetime, UUID], "things", pgproto.UUID(known.hex))

    shown = asked.show([(at, pgproto.UUID(known.hex))] * 2, lambda row: row)

    assert paged(PageRequest(1, shown.next_cursor), tuple[datetime, UUID], "things", known).position == (at, known)


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
