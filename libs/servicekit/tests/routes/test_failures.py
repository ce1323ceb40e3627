"""Failures are answered, counted and logged alike by both engines."""

import pytest

from servicekit.http.edge.observe import LINES_PER_S_MAX
from testkit.route_bench import BODY, KEY, Bench


@pytest.mark.parametrize(
    ("name", "status", "code", "retry_after"),
    [
        ("refused", 409, "insufficient_funds", None),
        ("exhausted", 503, "overloaded", "1"),
        ("unreached", 503, "unavailable", "3"),
        ("limited", 429, "rate_limited", "2"),
        ("beyond", 429, "rate_limited", None),
        ("bug", 500, "internal_error", None),
    ],
)
def test_a_failure_is_a_problem_document(
    bench: Bench, route: str, *, name: str, status: int, code: str, retry_after: str | None
) -> None:
    answer = bench.client.post(route, json={"name": name}, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("retry-after") == retry_after
    assert "secret" not in answer.text
    assert bench.count(route, status) == 1


def test_a_refusal_carries_its_facts_and_always_the_same_bytes(bench: Bench, route: str) -> None:
    answers = [bench.client.post(route, json={"name": "refused"}, headers=KEY) for _ in range(2)]

    assert answers[0].json()["available"] == {"amount": "1.00", "currency": "USD"}
    assert answers[0].content == answers[1].content


def test_a_limit_that_is_reached_is_told_in_headers(bench: Bench, route: str) -> None:
    answer = bench.client.post(route, json={"name": "limited"}, headers=KEY)

    assert answer.headers["ratelimit"] == '"user";r=0;t=2'
    assert answer.json()["retry_after_s"] == 2


def test_requests_are_counted_by_route_and_status(bench: Bench, route: str) -> None:
    bench.client.post(route, json=BODY, headers=KEY)
    bench.client.post(route, json=BODY, headers=KEY)
    bench.client.post(route, json=BODY)

    assert (bench.count(route, 200), bench.count(route, 400)) == (2, 1)


def test_a_bug_is_logged_once_with_its_request_id(bench: Bench, route: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = bench.client.post(route, json={"name": "bug"}, headers=KEY)

    out = capsys.readouterr().out
    assert out.count("ZeroDivisionError: secret") == 1
    assert out.count("event='http.request'") == 1
    assert answer.headers["request-id"] in out


def test_an_overload_does_not_flood_the_log(bench: Bench, route: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(5 * LINES_PER_S_MAX):
        bench.client.post(route, json={"name": "exhausted"}, headers=KEY)

    out = capsys.readouterr().out
    assert "error='PoolExhausted" in out
    assert "Traceback" not in out
    assert bench.count(route, 503) == 5 * LINES_PER_S_MAX
