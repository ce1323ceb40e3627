"""Every operation of every service, asked for by every kind of caller: who may reach what, and nobody else."""

from typing import Final

import pytest
from tests.access_matrix.callers import CALLERS, NO_CREDENTIAL
from tests.access_matrix.conftest import Matrices
from tests.access_matrix.expecting import FORBIDDEN, Named, expected
from tests.access_matrix.operations import SERVICES, batch_members, guarded_operations, public_operations
from tests.access_matrix.recipes import Ask

from contracts.scopes import Kind

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OPERATIONS = [
    pytest.param(service, operation.name, id=f"{service} {operation.name}")
    for service in SERVICES
    for operation in guarded_operations(service)
]
PUBLIC: Final = frozenset(
    ("GET", path)
    for path in (
        "/health/live",
        "/health/ready",
        "/health/deep",
        "/metrics",
        "/problems/{code}",
        "/schemas/{event_type}",
    )
)
OWN: Final = {
    "wallet": frozenset({("GET", "/v1/currencies")}),
    "transaction-history": frozenset({("GET", "/v1/history/downloads/{token}")}),
}
"""What of a service's own anybody may ask for."""
NEVER_A_USERS: Final = frozenset(
    {
        *("deposits:create", "wallets:restrict", "risk:read", "credentials:read", "credentials:write"),
        *("tenants:write", "webhooks:read", "webhooks:write", "operations:read"),
    }
)
"""What a user's token must never reach, whatever it says: it would make money, lift what staff set, teach to evade."""


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_an_operation_reaches_its_callers_and_nobody_else(matrices: Matrices, service: str, operation: str) -> None:
    matrix = matrices(service)
    assert matrix.rows[operation], f"{operation} of {service} has no recipe"

    findings = matrix.judge(operation)

    assert not findings, "\n".join(findings)


def test_every_command_is_asked_for_in_both_kinds_of_batches(matrices: Matrices) -> None:
    rows = matrices("wallet").rows["batch"]

    asked = {(row.recipe.member, row.recipe.is_atomic) for row in rows}

    assert asked == {(member, is_atomic) for member in batch_members() for is_atomic in (True, False)}


def test_each_command_of_a_batch_needs_a_scope_of_its_own(matrices: Matrices) -> None:
    matrix = matrices("wallet")
    rows = [row for row in matrix.rows["batch"] if row.recipe.is_atomic and row.recipe.member != "open_wallet"]

    findings = [finding for row in rows for finding in matrix.judge_part_of_scopes(row)]

    assert len(rows) == len(batch_members()) - 1
    assert not findings, "\n".join(findings)


@pytest.mark.parametrize("service", SERVICES)
def test_what_asks_nothing_of_its_caller_is_public_by_name_and_answers_anybody(
    matrices: Matrices, service: str
) -> None:
    world, public = matrices(service).world, PUBLIC | OWN.get(service, frozenset())

    answers = {
        path: world.send(Ask(method=method, path=path), NO_CREDENTIAL, frozenset()).status_code
        for method, path in public
    }

    assert public_operations(service) == public
    assert 401 not in answers.values()
    assert answers["/health/live"] == answers["/health/ready"] == 200
    # The processes' own pages are for loopback, and there are none for the addresses that the proxy names.
    assert answers["/metrics"] == answers["/health/deep"] == 404


def test_no_token_of_a_user_reaches_what_is_never_a_users() -> None:
    users = [caller for caller in CALLERS if caller.kind is Kind.USER and caller.refused is None]
    found = [
        each
        for service in SERVICES
        for each in guarded_operations(service)
        if each.scope is not None and each.scope.name in NEVER_A_USERS
    ]

    answers = [
        expected(each, Named(owned=each.owned, is_ours=False, missing=""), user) for each in found for user in users
    ]

    assert users
    assert found
    assert {answer.status for answer in answers} == {FORBIDDEN}
    assert not [each.name for each in found if Kind.USER in each.kinds]
