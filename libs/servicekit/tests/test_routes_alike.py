"""Hot and ordinary routes behave alike: request id, errors, limits, metrics and tracing."""

import gzip
import json
from collections.abc import Iterator
from typing import Annotated

import msgspec
import pytest
from fastapi import APIRouter, Body
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.testclient import TestClient
from starlette.types import Message

from contracts import problems
from servicekit.failures import PoolExhausted, Unavailable
from servicekit.http.app import create_app
from servicekit.http.edge.context import GIVEN_ONCE
from servicekit.http.edge.hot import HotRequest, HotResponse, HotRoute
from servicekit.http.edge.observe import LINES_PER_S_MAX
from servicekit.http.edge.outermost import Edge
from servicekit.http.problems import Problem
from servicekit.http.routes.dependencies import Context, IdempotencyKey
from servicekit.settings import AccessLog, ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.tracing import CLIENT_TRACES_PER_S

KEY = {"idempotency-key": "key-1"}
BODY = {"name": "a"}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"
HOT, ORDINARY = "/v1/hot", "/v1/ordinary"


class Money(msgspec.Struct, forbid_unknown_fields=True):
    amount: str


class HotBody(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=10)]
    money: Money | None = None
    tags: list[str] | None = None


class OrdinaryMoney(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    amount: str


class OrdinaryBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Annotated[str, StringConstraints(max_length=10)]
    money: OrdinaryMoney | None = None
    tags: list[str] | None = None


FAILURES: dict[str, Exception] = {
    "refused": Problem(problems.INSUFFICIENT_FUNDS, "Too little.", available={"amount": "1.00", "currency": "USD"}),
    "exhausted": PoolExhausted("Every connection is busy."),
    "unreached": Unavailable("The database cannot be reached.", retry_after_s=3),
    "bug": ZeroDivisionError("secret"),
}


def act(name: str, traceparent: str | None) -> bytes:
    if name in FAILURES:
        raise FAILURES[name]
    return json.dumps({"name": name, "traceparent": traceparent}).encode()


async def hot_handler(request: HotRequest[HotBody]) -> HotResponse:
    return HotResponse(200, act(request.body.name, request.traceparent), [])


router = APIRouter()


@router.post(ORDINARY)
async def ordinary(body: Annotated[OrdinaryBody, Body()], context: Context, _key: IdempotencyKey) -> dict[str, object]:
    answer: dict[str, object] = json.loads(act(body.name, context.traceparent))
    return answer


class Probe:
    """An application with one route of each kind, and what it reports."""

    def __init__(self, ratio: float = 0.0) -> None:
        self.spans = InMemorySpanExporter()
        self.registry = CollectorRegistry()
        self.tracing = Tracing("probe", ratio, SimpleSpanProcessor(self.spans))
        telemetry = Telemetry("probe", "api", "1.2.3", self.registry, self.tracing)
        hot = HotRoute(
            path=HOT,
            request=HotBody,
            handler=hot_handler,
            operation_id="act",
            summary="Act.",
            response=Money,
            status=200,
        )
        self.app: Edge = create_app(
            title="Probe",
            settings=ServiceSettings(access_log=AccessLog.ERRORS),
            telemetry=telemetry,
            routers=[router],
            hot_routes=[hot],
        )
        self.client = TestClient(self.app)

    def count(self, route: str, status: int) -> float | None:
        labels = {"method": "POST", "route": route, "status": str(status)}
        return self.registry.get_sample_value("http_request_duration_seconds_count", labels)


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.tracing.close()


@pytest.fixture(params=[HOT, ORDINARY])
def route(request: pytest.FixtureRequest) -> str:
    path: str = request.param
    return path


def test_an_answer_is_json_with_a_new_request_id(probe: Probe, route: str) -> None:
    first = probe.client.post(route, json=BODY, headers=KEY)
    second = probe.client.post(route, json=BODY, headers=KEY)

    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.json() == {"name": "a", "traceparent": None}
    assert first.headers["request-id"] != second.headers["request-id"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("order-17:retry/2", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ('"><script>', False)],
)
def test_a_harmless_request_id_is_kept(probe: Probe, route: str, given: str, kept: bool) -> None:  # noqa: FBT001  a case
    answer = probe.client.post(route, json=BODY, headers={**KEY, "request-id": given})

    assert (answer.headers["request-id"] == given) is kept


REFUSED_BODIES = [
    (b'{"name":', 400, "malformed_json", None),
    (b"", 400, "malformed_json", None),
    (b'{"name":NaN}', 400, "malformed_json", None),
    (b'{"name":1e999}', 400, "malformed_json", None),
    (b'{"name":"\xff"}', 400, "malformed_json", None),
    (b'\xef\xbb\xbf{"name":"a"}', 400, "malformed_json", None),
    (b'{"name":"\\ud800"}', 400, "malformed_json", None),
    (b'{"name":"a"} {}', 400, "malformed_json", None),
    (b'{"name":"\x00"}', 400, "malformed_json", None),
    (b"[" * 33 + b"]" * 33, 400, "malformed_json", None),
    (b'{"other":' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400, "malformed_json", None),
    (b'{"other":' + b"[" * 30_000, 400, "malformed_json", None),
    (b"{}", 422, "invalid_request", ("/name", "missing")),
    (b'{"name":"a","other":1}', 422, "invalid_request", ("/other", "unknown_field")),
    (b'{"name":"a","a/b~c":1}', 422, "invalid_request", ("/a~1b~0c", "unknown_field")),
    (b'{"name":1}', 422, "invalid_request", ("/name", "invalid_type")),
    (b'{"name":"aaaaaaaaaaa"}', 422, "invalid_request", ("/name", "too_long")),
    (b'{"name":"a","money":{"amount":1.5}}', 422, "invalid_request", ("/money/amount", "invalid_type")),
    (b'{"name":"a","money":{}}', 422, "invalid_request", ("/money/amount", "missing")),
    (b'{"name":"a","tags":["a",2]}', 422, "invalid_request", ("/tags/1", "invalid_type")),
    (b'{"name":"a","tags":["a","\\u0000"]}', 422, "invalid_request", ("/tags/1", "invalid_text")),
    (b"[]", 422, "invalid_request", ("", "invalid_type")),
    (b'{"name":"a","name":"b"}', 400, "malformed_json", None),
    (b'{"name":"a","name":"a"}', 400, "malformed_json", None),
    (b'{"name":"a","n\\u0061me":"b"}', 400, "malformed_json", None),
    (b' {"name":"a","money":{"amount":"1.00","amount":"900.00"}}', 400, "malformed_json", None),
    (b'{"name":1,"name":"a"}', 400, "malformed_json", None),
    (b'{"name":"a","other":[{"x":1,"x":2}]}', 400, "malformed_json", None),
]


@pytest.mark.parametrize(("body", "status", "code", "error"), REFUSED_BODIES)
def test_a_bad_body_is_refused(
    probe: Probe, route: str, *, body: bytes, status: int, code: str, error: tuple[str, str] | None
) -> None:
    answer = probe.client.post(route, content=body, headers={**KEY, "content-type": "application/json"})

    document = answer.json()
    assert (answer.status_code, document["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (document["type"], document["status"], document["instance"]) == (f"/problems/{code}", status, route)
    assert [(e["pointer"], e["code"]) for e in document.get("errors", [])] == ([error] if error is not None else [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b'\xef\xbb\xbf{"name":"a"}', "byte-order mark"),
        (gzip.compress(b'{"name":"a"}'), "gzip"),
        ('{"name":"a"}'.encode("utf-16"), "UTF-16"),
        ('{"name":"a"}'.encode("utf-16-be"), "UTF-16"),
        (b'{"name":"a","name":"b"}', "'name' twice"),
        (b'{"name":"\xff"}', "not valid UTF-8"),
        (b"name=a", "not JSON"),
    ],
)
def test_a_body_that_is_something_else_is_told_what_it_is(probe: Probe, route: str, body: bytes, said: str) -> None:
    answer = probe.client.post(route, content=body, headers={**KEY, "content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert said in answer.json()["detail"]


def test_names_that_only_look_alike_are_not_doubled(probe: Probe, route: str) -> None:
    body = b'{"name":"\\"name\\":1","money":{"amount":"1"},"tags":["name","name"]}'

    answer = probe.client.post(route, content=body, headers={**KEY, "content-type": "application/json"})

    assert answer.json()["name"] == '"name":1'


def test_a_number_of_any_length_is_no_bug(probe: Probe, route: str) -> None:
    body = b'{"name":"a","other":' + b"9" * 5_000 + b"}"

    answer = probe.client.post(route, content=body, headers={**KEY, "content-type": "application/json"})

    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("name", sorted(name.decode() for name in GIVEN_ONCE))
def test_a_header_that_counts_once_is_refused_twice(probe: Probe, route: str, name: str) -> None:
    sent = {**KEY, "content-type": "application/json", "host": "testserver"}
    headers = [(key, value) for key, value in sent.items() if key != name]
    first = sent.get(name, "20")

    answer = probe.client.post(route, content=b'{"name":"a"}', headers=[*headers, (name, first), (name, first)])

    assert (answer.status_code, answer.json()["code"]) == (400, "repeated_header")
    assert answer.json()["header"].lower() == name


def test_a_header_that_may_be_a_list_may_come_twice(probe: Probe, route: str) -> None:
    headers = [*KEY.items(), ("accept", "a/b"), ("accept", "c/d"), ("via", "1.1 a"), ("via", "1.1 b")]

    assert probe.client.post(route, json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(("version", "status"), [("1.1", 400), ("1.0", 200)])
async def test_only_http_1_0_may_come_without_a_host(probe: Probe, route: str, version: str, status: int) -> None:
    headers = [(b"idempotency-key", b"k"), (b"content-type", b"application/json")]
    scope = {"type": "http", "http_version": version, "method": "POST", "path": route, "query_string": b""}
    answer: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"name":"a"}', "more_body": False}

    async def send(message: Message) -> None:
        answer.append(message)

    await probe.app({**scope, "headers": headers}, receive, send)

    assert answer[0]["status"] == status
    assert (b"malformed_http" in answer[1]["body"]) is (status == 400)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_a_content_encoding_is_refused(probe: Probe, route: str, encoding: str) -> None:
    headers = {**KEY, "content-type": "application/json", "content-encoding": encoding}

    answer = probe.client.post(route, content=gzip.compress(b"{}"), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json()["detail"]


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json; charset=latin-1", "application/jsonp"])
def test_another_content_type_is_refused(probe: Probe, route: str, content_type: str | None) -> None:
    headers = KEY if content_type is None else {**KEY, "content-type": content_type}

    answer = probe.client.post(route, content=b'{"name":"a"}', headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8"])
def test_json_may_say_that_it_is_utf_8(probe: Probe, route: str, content_type: str) -> None:
    answer = probe.client.post(route, content=b'{"name":"\xc3\xa9"}', headers={**KEY, "content-type": content_type})

    assert answer.json()["name"] == "\u00e9"


@pytest.mark.parametrize("size", [65_537, 9_000_000])
def test_a_large_body_is_refused(probe: Probe, route: str, size: int) -> None:
    answer = probe.client.post(route, content=b" " * size, headers={**KEY, "content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.json()["limit_bytes"] == 65_536


def test_a_large_body_without_a_length_is_refused(probe: Probe, route: str) -> None:
    chunks = (b" " * 10_000 for _ in range(8))

    answer = probe.client.post(route, content=chunks, headers={**KEY, "content-type": "application/json"})

    assert answer.status_code == 413


@pytest.mark.parametrize("key", [None, "", "a b", "x" * 256, "\u00e9"])
def test_a_bad_idempotency_key_is_refused(probe: Probe, route: str, key: str | None) -> None:
    headers = {} if key is None else {b"idempotency-key": key.encode()}

    answer = probe.client.post(route, json=BODY, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


def test_an_unknown_query_parameter_is_refused(probe: Probe, route: str) -> None:
    answer = probe.client.post(f"{route}?colour=red", json=BODY, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert answer.json()["errors"][0]["pointer"] == "/colour"


def test_another_method_is_refused(probe: Probe, route: str) -> None:
    answer = probe.client.get(route)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("name", "status", "code", "retry_after"),
    [
        ("refused", 409, "insufficient_funds", None),
        ("exhausted", 503, "overloaded", "1"),
        ("unreached", 503, "unavailable", "3"),
        ("bug", 500, "internal_error", None),
    ],
)
def test_a_failure_is_a_problem_document(
    probe: Probe, route: str, *, name: str, status: int, code: str, retry_after: str | None
) -> None:
    answer = probe.client.post(route, json={"name": name}, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("retry-after") == retry_after
    assert "secret" not in answer.text
    assert probe.count(route, status) == 1


def test_a_refusal_carries_its_facts_and_always_the_same_bytes(probe: Probe, route: str) -> None:
    answers = [probe.client.post(route, json={"name": "refused"}, headers=KEY) for _ in range(2)]

    assert answers[0].json()["available"] == {"amount": "1.00", "currency": "USD"}
    assert answers[0].content == answers[1].content


def test_requests_are_counted_by_route_and_status(probe: Probe, route: str) -> None:
    probe.client.post(route, json=BODY, headers=KEY)
    probe.client.post(route, json=BODY, headers=KEY)
    probe.client.post(route, json=BODY)

    assert (probe.count(route, 200), probe.count(route, 400)) == (2, 1)


def test_a_sampled_request_is_continued(probe: Probe, route: str) -> None:
    answer = probe.client.post(route, json=BODY, headers={**KEY, "traceparent": SAMPLED})

    (span,) = probe.spans.get_finished_spans()
    assert span.name == f"POST {route}"
    assert span.attributes is not None
    assert (span.attributes["http.route"], span.attributes["http.response.status_code"]) == (route, 200)
    assert span.context is not None
    assert answer.json()["traceparent"] == f"00-{TRACE_ID}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize("headers", [{}, {"traceparent": UNSAMPLED}, {"traceparent": "nonsense"}])
def test_an_unsampled_request_leaves_no_span(probe: Probe, route: str, headers: dict[str, str]) -> None:
    answer = probe.client.post(route, json=BODY, headers={**KEY, **headers})

    assert answer.json()["traceparent"] is None
    assert probe.spans.get_finished_spans() == ()


def test_only_so_many_traces_of_clients_are_granted_a_second(
    probe: Probe, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("hot", "outermost"):
        monkeypatch.setattr(f"servicekit.http.edge.{module}.monotonic_s", lambda: 1_000.5)
    headers = {**KEY, "traceparent": SAMPLED}

    answers = [probe.client.post(route, json=BODY, headers=headers) for _ in range(CLIENT_TRACES_PER_S + 3)]
    monkeypatch.undo()
    later = probe.client.post(route, json=BODY, headers=headers)

    handed_on = [answer.json()["traceparent"] for answer in answers]
    assert len(probe.spans.get_finished_spans()) == CLIENT_TRACES_PER_S + 1
    assert all(each.endswith("-01") for each in handed_on[:CLIENT_TRACES_PER_S])
    assert handed_on[CLIENT_TRACES_PER_S:] == [UNSAMPLED] * 3
    assert later.json()["traceparent"].endswith("-01")


def test_a_trace_of_our_own_choice_needs_no_grant(route: str) -> None:
    probe = Probe(ratio=1.0)

    for _ in range(CLIENT_TRACES_PER_S + 3):
        probe.client.post(route, json=BODY, headers=KEY)

    assert len(probe.spans.get_finished_spans()) == CLIENT_TRACES_PER_S + 3
    probe.tracing.close()


def test_a_share_of_requests_is_sampled(route: str) -> None:
    probe = Probe(ratio=1.0)

    probe.client.post(route, json=BODY, headers=KEY)

    assert len(probe.spans.get_finished_spans()) == 1
    probe.tracing.close()


@pytest.mark.parametrize(
    ("name", "status"), [("refused", StatusCode.UNSET), ("bug", StatusCode.ERROR), ("unreached", StatusCode.ERROR)]
)
def test_only_an_unexpected_failure_turns_a_span_red(probe: Probe, route: str, name: str, status: StatusCode) -> None:
    probe.client.post(route, json={"name": name}, headers={**KEY, "traceparent": SAMPLED})

    (span,) = probe.spans.get_finished_spans()
    assert span.status.status_code is status


def test_a_bug_is_logged_once_with_its_request_id(probe: Probe, route: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = probe.client.post(route, json={"name": "bug"}, headers=KEY)

    out = capsys.readouterr().out
    assert out.count("ZeroDivisionError: secret") == 1
    assert out.count("event='http.request'") == 1
    assert answer.headers["request-id"] in out


def test_an_overload_does_not_flood_the_log(probe: Probe, route: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(5 * LINES_PER_S_MAX):
        probe.client.post(route, json={"name": "exhausted"}, headers=KEY)

    out = capsys.readouterr().out
    assert "error='PoolExhausted" in out
    assert "Traceback" not in out
    assert probe.count(route, 503) == 5 * LINES_PER_S_MAX


def test_both_kinds_stand_in_the_openapi_document(probe: Probe, route: str) -> None:
    document = probe.client.get("/openapi.json").json()

    operation = document["paths"][route]["post"]
    assert "requestBody" in operation
    problem_schemas = [
        content["content"]["application/problem+json"]["schema"]["$ref"]
        for content in operation["responses"].values()
        if "application/problem+json" in content.get("content", {})
    ]
    assert set(problem_schemas) == {"#/components/schemas/ProblemDocument"}
