"""Heads are read alike by both engines: ids, keys, queries, methods, and what may be given once."""

import pytest
from starlette.types import Message

from servicekit.http.edge.context import GIVEN_ONCE
from testkit.route_bench import BODY, KEY, Bench


def test_an_answer_is_json_with_a_new_request_id(bench: Bench, route: str) -> None:
    first = bench.client.post(route, json=BODY, headers=KEY)
    second = bench.client.post(route, json=BODY, headers=KEY)

    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.json() == {"name": "a", "traceparent": None}
    assert first.headers["request-id"] != second.headers["request-id"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("order-17:retry/2", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ('"><script>', False)],
)
def test_a_harmless_request_id_is_kept(bench: Bench, route: str, given: str, kept: bool) -> None:  # noqa: FBT001  a case
    answer = bench.client.post(route, json=BODY, headers={**KEY, "request-id": given})

    assert (answer.headers["request-id"] == given) is kept


@pytest.mark.parametrize("name", sorted(name.decode() for name in GIVEN_ONCE))
def test_a_header_that_counts_once_is_refused_twice(bench: Bench, route: str, name: str) -> None:
    sent = {**KEY, "content-type": "application/json", "host": "testserver"}
    headers = [(key, value) for key, value in sent.items() if key != name]
    first = sent.get(name, "20")

    answer = bench.client.post(route, content=b'{"name":"a"}', headers=[*headers, (name, first), (name, first)])

    assert (answer.status_code, answer.json()["code"]) == (400, "repeated_header")
    assert answer.json()["header"].lower() == name


def test_a_header_that_may_be_a_list_may_come_twice(bench: Bench, route: str) -> None:
    headers = [*KEY.items(), ("accept", "a/b"), ("accept", "c/d"), ("via", "1.1 a"), ("via", "1.1 b")]

    assert bench.client.post(route, json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(("version", "status"), [("1.1", 400), ("1.0", 200)])
async def test_only_http_1_0_may_come_without_a_host(bench: Bench, route: str, version: str, status: int) -> None:
    headers = [(b"idempotency-key", b"k"), (b"content-type", b"application/json")]
    scope = {"type": "http", "http_version": version, "method": "POST", "path": route, "query_string": b""}
    scope["raw_path"] = route.encode()
    answer: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"name":"a"}', "more_body": False}

    async def send(message: Message) -> None:
        answer.append(message)

    await bench.app({**scope, "headers": headers}, receive, send)

    assert answer[0]["status"] == status
    assert (b"malformed_http" in answer[1]["body"]) is (status == 400)


@pytest.mark.parametrize("key", [None, "", "a b", "x" * 256, "\u00e9"])
def test_a_bad_idempotency_key_is_refused(bench: Bench, route: str, key: str | None) -> None:
    headers = {} if key is None else {b"idempotency-key": key.encode()}

    answer = bench.client.post(route, json=BODY, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


def test_an_unknown_query_parameter_is_refused(bench: Bench, route: str) -> None:
    answer = bench.client.post(f"{route}?colour=red", json=BODY, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert answer.json()["errors"][0]["pointer"] == "/colour"


def test_another_method_is_refused(bench: Bench, route: str) -> None:
    answer = bench.client.get(route)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
