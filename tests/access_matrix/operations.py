"""The operations of every service, as the OpenAPI documents tell of them: what each asks of its caller."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tests.openapi.targets import DOCUMENTS

from contracts.scopes import Kind, Scope, scope_named

SERVICES: Final = ("wallet", "transaction-history", "notifications", "fraud", "access")
METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation: *scope*, *kinds* and *owned* as `x-access` has them, *status* of its success."""

    service: str
    name: str
    method: str
    path: str
    scope: Scope | None
    kinds: frozenset[Kind]
    owned: str | None
    status: int


@cache
def document(service: str) -> Any:
    """Return the OpenAPI document of *service*."""
    return json.loads((DOCUMENTS / f"{service}.json").read_text())


def guarded_operations(service: str) -> Sequence[Operation]:
    """Return the operations of *service* that ask something of their caller."""
    return [_operation(service, *each) for each in _operations(service) if "x-access" in each[2]]


def public_operations(service: str) -> frozenset[tuple[str, str]]:
    """Return method and path of the operations of *service* that anybody may call."""
    found = [(method.upper(), path) for method, path, told in _operations(service) if "x-access" not in told]
    return frozenset(found)


def batch_members() -> frozenset[str]:
    """Return the types of commands that a batch may have."""
    commands = document("wallet")["components"]["schemas"]["BatchRequest"]["properties"]["commands"]
    return frozenset(commands["items"]["discriminator"]["mapping"])


def _operations(service: str) -> list[tuple[str, str, Any]]:
    paths = document(service)["paths"]
    return [(method, path, told[method]) for path, told in paths.items() for method in sorted(METHODS & set(told))]


def _operation(service: str, method: str, path: str, told: Any) -> Operation:
    access = told["x-access"]
    name = access["scope"]
    return Operation(
        service=service,
        name=told["operationId"],
        method=method.upper(),
        path=path,
        scope=None if name is None else scope_named(name),
        kinds=frozenset(map(Kind, access["kinds"])),
        owned=access["owned"],
        # 200 beside 201 is a dry run's.
        status=max(int(status) for status in told["responses"] if status.startswith("2")),
    )
