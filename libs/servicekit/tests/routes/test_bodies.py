"""Bodies are read alike by both engines: strictly, within bounds, and refused by field."""

import gzip

import pytest

from testkit.route_bench import KEY, Bench

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
    bench: Bench, route: str, *, body: bytes, status: int, code: str, error: tuple[str, str] | None
) -> None:
    answer = bench.client.post(route, content=body, headers={**KEY, "content-type": "application/json"})

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
        (gzip.compress(b'{"name":"a"}', mtime=0), "gzip"),
        ('{"name":"a"}'.encode("utf-16"), "UTF-16"),
        ('{"name":"a"}'.encode("utf-16-be"), "UTF-16"),
        (b'{"name":"a","name":"b"}', "'name' twice"),
        (b'{"name":"\xff"}', "not valid UTF-8"),
        (b"name=a", "not JSON"),
    ],
)
def test_a_body_that_is_something_else_is_told_what_it_is(bench: Bench, route: str, body: bytes, said: str) -> None:
    answer = bench.client.post(route, content=body, headers={**KEY, "content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert said in answer.json()["detail"]


def test_names_that_only_look_alike_are_not_doubled(bench: Bench, route: str) -> None:
    body = b'{"name":"\\"name\\":1","money":{"amount":"1"},"tags":["name","name"]}'

    answer = bench.client.post(route, content=body, headers={**KEY, "content-type": "application/json"})

    assert answer.json()["name"] == '"name":1'


def test_a_number_of_any_length_is_no_bug(bench: Bench, route: str) -> None:
    body = b'{"name":"a","other":' + b"9" * 5_000 + b"}"

    answer = bench.client.post(route, content=body, headers={**KEY, "content-type": "application/json"})

    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_a_content_encoding_is_refused(bench: Bench, route: str, encoding: str) -> None:
    headers = {**KEY, "content-type": "application/json", "content-encoding": encoding}

    answer = bench.client.post(route, content=gzip.compress(b"{}"), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json()["detail"]


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json; charset=latin-1", "application/jsonp"])
def test_another_content_type_is_refused(bench: Bench, route: str, content_type: str | None) -> None:
    headers = KEY if content_type is None else {**KEY, "content-type": content_type}

    answer = bench.client.post(route, content=b'{"name":"a"}', headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8"])
def test_json_may_say_that_it_is_utf_8(bench: Bench, route: str, content_type: str) -> None:
    answer = bench.client.post(route, content=b'{"name":"\xc3\xa9"}', headers={**KEY, "content-type": content_type})

    assert answer.json()["name"] == "\u00e9"


@pytest.mark.parametrize("size", [65_537, 9_000_000])
def test_a_large_body_is_refused(bench: Bench, route: str, size: int) -> None:
    answer = bench.client.post(route, content=b" " * size, headers={**KEY, "content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.json()["limit_bytes"] == 65_536


def test_a_large_body_without_a_length_is_refused(bench: Bench, route: str) -> None:
    chunks = (b" " * 10_000 for _ in range(8))

    answer = bench.client.post(route, content=chunks, headers={**KEY, "content-type": "application/json"})

    assert answer.status_code == 413
