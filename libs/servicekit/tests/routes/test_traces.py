"""Traces are begun, continued and bounded alike by both engines."""

import pytest
from opentelemetry.trace import StatusCode

from servicekit.telemetry.tracing import CLIENT_TRACES_PER_S
from testkit.route_bench import BODY, KEY, Bench

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"


def test_a_sampled_request_is_continued(bench: Bench, route: str) -> None:
    answer = bench.client.post(route, json=BODY, headers={**KEY, "traceparent": SAMPLED})

    (span,) = bench.spans.get_finished_spans()
    assert span.name == f"POST {route}"
    assert span.attributes is not None
    assert (span.attributes["http.route"], span.attributes["http.response.status_code"]) == (route, 200)
    assert span.context is not None
    assert answer.json()["traceparent"] == f"00-{TRACE_ID}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize("headers", [{}, {"traceparent": UNSAMPLED}, {"traceparent": "nonsense"}])
def test_an_unsampled_request_leaves_no_span(bench: Bench, route: str, headers: dict[str, str]) -> None:
    answer = bench.client.post(route, json=BODY, headers={**KEY, **headers})

    assert answer.json()["traceparent"] is None
    assert bench.spans.get_finished_spans() == ()


def test_only_so_many_traces_of_clients_are_granted_a_second(
    bench: Bench, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("command", "outermost"):
        monkeypatch.setattr(f"servicekit.http.edge.{module}.monotonic_s", lambda: 1_000.5)
    headers = {**KEY, "traceparent": SAMPLED}

    answers = [bench.client.post(route, json=BODY, headers=headers) for _ in range(CLIENT_TRACES_PER_S + 3)]
    monkeypatch.undo()
    later = bench.client.post(route, json=BODY, headers=headers)

    handed_on = [answer.json()["traceparent"] for answer in answers]
    assert len(bench.spans.get_finished_spans()) == CLIENT_TRACES_PER_S + 1
    assert all(each.endswith("-01") for each in handed_on[:CLIENT_TRACES_PER_S])
    assert handed_on[CLIENT_TRACES_PER_S:] == [UNSAMPLED] * 3
    assert later.json()["traceparent"].endswith("-01")


def test_a_trace_of_our_own_choice_needs_no_grant(route: str) -> None:
    bench = Bench(ratio=1.0)

    for _ in range(CLIENT_TRACES_PER_S + 3):
        bench.client.post(route, json=BODY, headers=KEY)

    assert len(bench.spans.get_finished_spans()) == CLIENT_TRACES_PER_S + 3
    bench.close()


def test_a_share_of_requests_is_sampled(route: str) -> None:
    bench = Bench(ratio=1.0)

    bench.client.post(route, json=BODY, headers=KEY)

    assert len(bench.spans.get_finished_spans()) == 1
    bench.close()


@pytest.mark.parametrize(
    ("name", "status"), [("refused", StatusCode.UNSET), ("bug", StatusCode.ERROR), ("unreached", StatusCode.ERROR)]
)
def test_only_an_unexpected_failure_turns_a_span_red(bench: Bench, route: str, name: str, status: StatusCode) -> None:
    bench.client.post(route, json={"name": name}, headers={**KEY, "traceparent": SAMPLED})

    (span,) = bench.spans.get_finished_spans()
    assert span.status.status_code is status
