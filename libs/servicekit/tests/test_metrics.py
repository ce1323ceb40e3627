"""What `/metrics` answers: in which format, about which requests, and what is left out."""

from collections.abc import Iterator
from typing import Final

import pytest
from prometheus_client.samples import Exemplar
from starlette.testclient import TestClient

from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry
from testkit.metrics import families_of
from testkit.route_bench import Bench

KEY: Final = {"idempotency-key": "k"}
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
OPENMETRICS: Final = {
    "accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
}


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def exemplars(client: TestClient) -> list[tuple[str, Exemplar]]:
    """Return the exemplars of durations, each with its route."""
    page = client.get("/metrics", headers=OPENMETRICS).text
    return [
        (sample.labels["route"], sample.exemplar)
        for family in families_of(page)
        if family.name == "http_request_duration_seconds"
        for sample in family.samples
        if sample.exemplar is not None
    ]


def test_who_asks_for_openmetrics_gets_it_and_others_the_text_format(bench: Bench) -> None:
    openmetrics = bench.client.get("/metrics", headers=OPENMETRICS)
    text = bench.client.get("/metrics", headers={"accept": "text/plain;version=0.0.4"})
    anything = bench.client.get("/metrics")

    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.text.endswith("# EOF\n")
    assert {text.headers["content-type"], anything.headers["content-type"]} == {
        "text/plain; version=0.0.4; charset=utf-8"
    }


@pytest.mark.parametrize("route", ["/v1/command", "/v1/ordinary"])
def test_a_traced_request_leaves_its_trace_beside_its_duration(bench: Bench, route: str) -> None:
    headers = {**KEY, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    bench.client.post(route, json={"name": "a"}, headers=headers)

    assert [(of, exemplar.labels) for of, exemplar in exemplars(bench.client)] == [(route, {"trace_id": TRACE})]


def test_a_request_that_is_not_traced_leaves_none(bench: Bench) -> None:
    bench.client.post("/v1/command", json={"name": "a"}, headers=KEY)

    assert exemplars(bench.client) == []


@pytest.mark.parametrize("route", ["/v1/command", "/v1/ordinary"])
@pytest.mark.parametrize(
    ("name", "code"), [("refused", "insufficient_funds"), ("bug", "internal_error"), ("", "invalid_request")]
)
def test_a_problem_is_counted_by_its_code(bench: Bench, route: str, name: str, code: str) -> None:
    answer = bench.client.post(route, json={"name": name} if name else {}, headers=KEY)

    assert answer.json()["code"] == code
    assert bench.registry.get_sample_value("http_problems_total", {"route": route, "code": code}) == 1


def test_what_nobody_serves_is_one_route(bench: Bench) -> None:
    for path in ("/nowhere", "/else/where"):
        assert bench.client.get(path).status_code == 404

    assert bench.registry.get_sample_value("http_problems_total", {"route": "unmatched", "code": "not_found"}) == 2


def test_requests_in_flight_are_those_not_answered_yet(bench: Bench) -> None:
    page = bench.client.get("/metrics").text

    assert "http_requests_in_flight 1.0" in page, "the scrape itself"
    assert bench.registry.get_sample_value("http_requests_in_flight") == 0


def test_a_counter_has_no_second_series_of_when_it_was_made() -> None:
    telemetry = Telemetry("probe", "api", "1", open_registry("probe", "api", "1"), Tracing("probe", 0.0))

    names = {sample.name for family in telemetry.registry.collect() for sample in family.samples}
    assert [name for name in names if name.endswith("_created")] == []
