"""Traces are begun, continued and bounded alike by both engines."""

import pytest
from opentelemetry.trace import StatusCode

from servicekit.http.edge.observe import UNMATCHED, told_path
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
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": route,
        "request.id": answer.headers["request-id"],
        "url.path": route,
        "url.scheme": "http",
    }
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
    answer = bench.client.post(route, json={"name": name}, headers={**KEY, "traceparent": SAMPLED})

    (span,) = bench.spans.get_finished_spans()
    assert span.status.status_code is status
    assert span.attributes is not None
    assert span.attributes.get("error.type") == (None if status is StatusCode.UNSET else str(answer.status_code))
    assert span.events == ()


def test_what_names_a_person_or_is_secret_stays_out_of_spans_and_log_lines(
    bench: Bench, route: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.client.post(f"{route}/owners/alice%2F1/things/s3cret/place", headers={**KEY, "traceparent": SAMPLED})

    (span,) = bench.spans.get_finished_spans()
    said = capsys.readouterr().out
    assert span.attributes is not None
    assert span.attributes["url.path"] == f"{route}/owners/{{owner}}/things/{{thing}}/place"
    assert "http.request" in said
    assert "alice" not in said
    assert "s3cret" not in said


def test_a_path_that_no_route_takes_is_not_told(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.client.request("BREW", "//v1/history/downloads/s3cret", headers={"traceparent": SAMPLED})

    (span,) = bench.spans.get_finished_spans()
    assert span.name == "HTTP"
    assert span.attributes is not None
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes.keys().isdisjoint({"http.route", "url.path"})
    assert "s3cret" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("template", "params", "told"),
    [
        ("/v1/wallets", {}, "/v1/wallets"),
        ("/v1/wallets/{wallet_id}/close", {"wallet_id": "0198-a"}, "/v1/wallets/0198-a/close"),
        ("/v1/wallets/{wallet_id}", {"wallet_id": "a/b\n"}, "/v1/wallets/a%2Fb%0A"),
        ("/v1/owners/{owner_id}/tier", {"owner_id": "alice"}, "/v1/owners/{owner_id}/tier"),
        ("/v1/history/downloads/{token}", {"token": "s3cret"}, "/v1/history/downloads/{token}"),
        ("/v1/wallets/{wallet_id}", {}, "/v1/wallets/{wallet_id}"),
        (UNMATCHED, {}, None),
    ],
)
def test_the_ids_that_the_platform_made_are_told(template: str, params: dict[str, str], told: str | None) -> None:
    assert told_path(template, params) == told
