"""Every API is what its OpenAPI document says, and the documents under docs/openapi are those that are served."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.openapi.conformance import Conformance
from tests.openapi.services import TARGETS
from tests.openapi.targets import Target

from testkit.databases import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

METHODS = {"get", "post", "put", "patch", "delete"}


def _document(target: Target) -> Any:
    return json.loads(target.document.read_text())


OPERATIONS = [
    pytest.param(target, f"{method.upper()} {path}", id=f"{target.service.slug} {method.upper()} {path}")
    for target in TARGETS
    for path, operations in _document(target)["paths"].items()
    for method in sorted(METHODS & set(operations))
]
SERVICES = [pytest.param(target, id=target.service.slug) for target in TARGETS]


class Running:
    """Opens each service when it is first asked for, and keeps it."""

    def __init__(self, stack: ExitStack, server: Server) -> None:
        self._stack = stack
        self._server = server
        self._opened: dict[str, Conformance] = {}

    def __call__(self, target: Target) -> Conformance:
        name = target.service.name
        if name not in self._opened:
            self._opened[name] = self._stack.enter_context(target.under_test(self._server))
        return self._opened[name]


@pytest.fixture(scope="module")
def running(postgres_server: Server, kafka_bootstrap: str) -> Iterator[Running]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        # Deep health is to be seen healthy too, and asks a broker.
        environment.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
        yield Running(stack, postgres_server)


@pytest.mark.parametrize(("target", "operation"), OPERATIONS)
def test_an_operation_is_what_its_document_says(running: Running, target: Target, operation: str) -> None:
    running(target).put_through(operation)


@pytest.mark.parametrize("target", SERVICES)
def test_sequences_of_operations_are_what_the_document_says(running: Running, target: Target) -> None:
    api = running(target)

    api.put_through_sequences()

    assert api.chained > 0, "no operation was handed what another one made"


@pytest.mark.parametrize("target", SERVICES)
def test_the_document_in_docs_is_the_one_that_is_served(running: Running, target: Target) -> None:
    served = running(target).http.get("/openapi.json").json()

    assert served == _document(target), "run `make docs`"
