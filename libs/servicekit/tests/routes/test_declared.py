"""What a route declares holds, and stands in the document, alike under both engines."""

from collections.abc import Iterator
from inspect import iscoroutinefunction
from typing import Any

import pytest

from servicekit.http.route import Engine
from servicekit.http.routes.dependencies import DECLARED
from testkit.route_bench import JSON, KEY, LARGE_BYTES_MAX, Bench, path_of

PLACE = "/owners/a/things/b/place"


@pytest.mark.parametrize("body", [b"", b"{}", b" {} "])
def test_a_route_without_a_body_takes_none(bench: Bench, engine: Engine, body: bytes) -> None:
    answer = bench.client.post(path_of(engine, PLACE), content=body, headers=JSON)

    assert answer.json() == {"owner": "a", "thing": "b"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"a":1}', 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b"{", 400, "malformed_json"),
        (b'{"a":1,"a":1}', 400, "malformed_json"),
    ],
)
def test_a_body_is_refused_where_none_is_taken(
    bench: Bench, engine: Engine, *, body: bytes, status: int, code: str
) -> None:
    answer = bench.client.post(path_of(engine, PLACE), content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_missing_key_is_told_before_a_body_that_is_not_taken(bench: Bench, engine: Engine) -> None:
    answer = bench.client.post(path_of(engine, PLACE), json={"a": 1})

    assert answer.json()["code"] == "invalid_idempotency_key"


def test_a_route_may_take_larger_bodies(bench: Bench, engine: Engine) -> None:
    sizes = (LARGE_BYTES_MAX // 2, LARGE_BYTES_MAX)

    answers = [bench.client.post(path_of(engine, "/large"), json={"name": "a" * size}, headers=KEY) for size in sizes]

    assert [answer.status_code for answer in answers] == [200, 413]
    assert answers[1].json()["limit_bytes"] == LARGE_BYTES_MAX


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (value for name, value in schema.items() if name == "$ref")
        yield from (each for value in schema.values() for each in references(value))
    elif isinstance(schema, list):
        yield from (each for value in schema for each in references(value))


def test_every_reference_resolves_whichever_engine_declared_the_struct(engine: Engine) -> None:
    bench = Bench(engines=(engine,))

    document = bench.client.get("/openapi.json").json()

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known
    assert "#/components/schemas/Placed" in known
    bench.close()


def test_the_document_tells_what_a_route_declares(bench: Bench, engine: Engine) -> None:
    document = bench.client.get("/openapi.json").json()

    operation = document["paths"][path_of(engine)]["post"]
    success = operation["responses"]["200"]
    assert success["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Acted"}
    assert list(success["links"]) == [f"place_{engine.value}"]
    assert success["headers"]["Ledger-Position"]["description"] == "Where it landed."
    assert "insufficient_funds" in operation["responses"]["409"]["description"]
    assert operation["requestBody"]["required"] is True


def test_the_document_tells_a_paths_parameters_and_of_no_body_where_none_is_taken(bench: Bench, engine: Engine) -> None:
    document = bench.client.get("/openapi.json").json()

    operation = document["paths"][path_of(engine, "/owners/{owner}/things/{thing}/place")]["post"]
    formats = {each["name"]: each["schema"].get("format") for each in operation["parameters"] if each["in"] == "path"}
    assert formats == {"owner": None, "thing": "uuid"}
    assert "requestBody" not in operation


def test_refusals_are_problem_documents(bench: Bench, engine: Engine) -> None:
    responses = bench.client.get("/openapi.json").json()["paths"][path_of(engine)]["post"]["responses"]

    problem_schemas = [
        content["content"]["application/problem+json"]["schema"]["$ref"]
        for content in responses.values()
        if "application/problem+json" in content.get("content", {})
    ]
    assert set(problem_schemas) == {"#/components/schemas/ProblemDocument"}


def test_what_handlers_depend_on_is_sent_to_no_thread() -> None:
    assert [call for call in DECLARED if not iscoroutinefunction(call)] == []
