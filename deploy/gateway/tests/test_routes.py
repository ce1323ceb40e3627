"""Every path has one owner, and what is made of the documents is what stands in the repository."""

import json
import re
from typing import Any

import pytest

from engines.checkout import ROOT
from gateway.__main__ import made
from gateway.engine import FILES
from gateway.files import BODY_DEFAULT_BYTES
from gateway.routes import SERVICES, AmbiguousRoute, Route, routes_of

DOCUMENTS = {service: json.loads((ROOT / "docs" / "openapi" / f"{service}.json").read_text()) for service in SERVICES}
IDEMPOTENT_METHODS = {"get", "put", "delete"}
SETS_WHAT_IT_NAMES = {("patch", "/v1/webhook-endpoints/{endpoint_id}")}


def test_the_made_files_are_those_of_the_documents() -> None:
    for name, text in made().items():
        assert (FILES / name).read_text() == text, f"{name} is old: `make docs`"


def test_every_documented_path_leads_to_its_service_and_to_no_other() -> None:
    routes = routes_of(DOCUMENTS)

    assert {route.template for route in routes} == {
        path for document in DOCUMENTS.values() for path in document["paths"] if path.startswith("/v1/")
    }
    for route in routes:
        example = re.sub(r"\{[^}]+\}", "a%2Fb", route.template)
        taken = next(other for other in routes if re.search(other.pattern + r"(?:\?|$)", example))
        assert taken == route


def test_a_path_that_two_services_claim_is_refused() -> None:
    documents: dict[str, dict[str, Any]] = {
        "wallet": {"paths": {"/v1/a/{b}": {}}},
        "fraud": {"paths": {"/v1/a/{c}": {}}},
    }

    with pytest.raises(AmbiguousRoute, match="claimed by wallet and by fraud"):
        routes_of(documents)


def test_a_service_that_the_gateway_does_not_know_is_refused() -> None:
    with pytest.raises(AmbiguousRoute, match="does not know"):
        routes_of({"rewards": {"paths": {"/v1/points": {}}}})


def test_a_literal_segment_goes_before_a_parameter() -> None:
    routes = routes_of({"wallet": {"paths": {"/v1/things/{id}": {}, "/v1/things/newest": {}}}})

    assert [route.template for route in routes] == ["/v1/things/newest", "/v1/things/{id}"]


def test_the_largest_body_of_a_path_is_its_bound() -> None:
    operations = {"post": {"x-body-max-bytes": 5}, "put": {"x-body-max-bytes": 7}, "get": {}}

    assert routes_of({"wallet": {"paths": {"/v1/a": operations}}}) == [Route("/v1/a", "wallet", 7)]


def test_every_documented_bound_is_one_that_the_gateway_keeps_to() -> None:
    bounds = {route.template: route.body_max_bytes for route in routes_of(DOCUMENTS)}

    assert {path for path, bound in bounds.items() if bound > BODY_DEFAULT_BYTES} == {"/v1/batches"}
    assert BODY_DEFAULT_BYTES in bounds.values()


@pytest.mark.parametrize("service", SERVICES)
def test_whatever_the_gateway_sends_twice_happens_once(service: str) -> None:
    """It sends a request again that died with its instance: safe for what is keyed, and for what may be repeated."""
    for path, operations in DOCUMENTS[service]["paths"].items():
        for method, operation in operations.items():
            named = {parameter["name"] for parameter in operation.get("parameters", ())}
            assert method in IDEMPOTENT_METHODS or "Idempotency-Key" in named or (method, path) in SETS_WHAT_IT_NAMES, (
                f"{method.upper()} {path} may be sent twice by the gateway and has no key"
            )
