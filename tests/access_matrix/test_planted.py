"""The matrix finds what it is there for: each mistake is planted, and the cell that is about it must say so."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from tests.access_matrix.callers import (
    CALLERS,
    FORGED_ADDRESS,
    OTHER_OWNERS_USER,
    REVOKED_KEY,
    SERVICE,
    Caller,
)
from tests.access_matrix.conftest import Matrices
from tests.access_matrix.matrix import Matrix

import servicekit.access.cache
import servicekit.client_address
import wallet.domain.commands
import wallet.domain.wallets
import wallet.entrypoints.batches
import wallet.entrypoints.commands
import wallet.reads.reads_postgres

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

OWNERS: Final = "and ($3::text[] is null or owner_id = any ($3))"
EVERYBODY: Final = "and ($3::text[] is null or true)"
SERVICE_WITHOUT: Final = next(each for each in CALLERS if each.name == "service without the scope")
SERVICE_FOR_OTHER: Final = next(each for each in CALLERS if each.name == "service for another owner")


@pytest.fixture
def ledger(matrices: Matrices) -> Iterator[Matrix]:
    matrix = matrices("wallet")
    cells = matrix.cells
    yield matrix
    matrix.cells = cells  # what a planted mistake does to a cell is no cell of the matrix


def both(matrix: Matrix, plant: Callable[[], None], operation: str, caller: Caller, **of: Any) -> list[str]:
    """Return what is wrong with a cell after *plant*; before, nothing must be."""
    assert not matrix.judge_cell(operation, caller, **of)
    plant()
    return matrix.judge_cell(operation, caller, **of)


def test_an_owner_left_out_of_one_predicate_is_found(ledger: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = wallet.reads.reads_postgres
    assert OWNERS in reads._GET
    planted = reads._GET.replace(OWNERS, EVERYBODY)

    found = both(ledger, lambda: monkeypatch.setattr(reads, "_GET", planted), "get_wallet", OTHER_OWNERS_USER)

    assert any("get_wallet: other owner: 200" in each for each in found), found


@pytest.mark.parametrize("caller", [OTHER_OWNERS_USER, SERVICE_FOR_OTHER], ids=lambda caller: caller.name)
def test_an_owner_left_out_of_a_decision_is_found(
    ledger: Matrix, monkeypatch: pytest.MonkeyPatch, caller: Caller
) -> None:
    context = wallet.domain.commands.Context

    found = both(ledger, lambda: monkeypatch.setattr(context, "own", context.any), "transfer", caller)

    assert any(f"transfer: {caller.name}: 201" in each for each in found), found
    assert f"transfer: {caller.name}: changed wallet.wallet" in found
    assert f"transfer: {caller.name}: changed wallet.journal" in found


@pytest.mark.parametrize("member", ["withdrawal", "transfer", "close"])
def test_an_owner_left_out_of_a_command_of_a_batch_is_found(
    ledger: Matrix, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    handlers = wallet.entrypoints.commands.CommandHandlers
    unit_of = handlers._unit

    def of_everybody(*given: Any, **more: Any) -> Any:
        unit = unit_of(*given, **more)
        if unit.path != "/v1/batches":
            return unit
        return replace(unit, mandate=msgspec.structs.replace(unit.mandate, owners=None))

    found = both(
        ledger, lambda: monkeypatch.setattr(handlers, "_unit", of_everybody), "batch", OTHER_OWNERS_USER, member=member
    )

    for mode in ("atomic", "independent"):
        assert f"batch [{mode} {member}]: other owner: changed wallet.wallet" in found


def test_a_scope_left_out_of_a_command_of_a_batch_is_found(ledger: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = wallet.entrypoints.batches

    found = both(
        ledger,
        lambda: monkeypatch.setattr(batches, "require", lambda *_, **__: None),
        "batch",
        SERVICE_WITHOUT,
        member="deposit",
    )

    assert "batch [independent deposit]: service without the scope: changed wallet.journal" in found


def test_a_cache_that_keeps_what_was_revoked_is_found(ledger: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    def plant() -> None:
        monkeypatch.setattr(servicekit.access.cache.CredentialCache, "drop", lambda *_: None)
        ledger.world.revoke_in_use()

    try:
        found = both(ledger, plant, "list_wallets", REVOKED_KEY)
    finally:
        monkeypatch.undo()
        ledger.world.revoke_in_use()

    assert any("list_wallets: revoked key: 200" in each for each in found), found


def test_an_address_that_the_client_wrote_is_found(ledger: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = servicekit.client_address
    from_the_right = addresses._hops

    found = both(
        ledger,
        lambda: monkeypatch.setattr(addresses, "_hops", lambda forwarded: from_the_right(forwarded)[::-1]),
        "get_wallet",
        FORGED_ADDRESS,
    )

    assert any("get_wallet: key, from a forged address: 200" in each for each in found), found


def test_a_wallet_that_is_told_from_nothing_is_found(ledger: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    context = wallet.domain.commands.Context

    def told_apart(self: Any, rows: Any, wallet_id: Any) -> Any:
        found = context.any(self, rows, wallet_id)
        return (
            found
            if found is None or self.mandate.covers(found.owner_id)
            else msgspec.structs.replace(
                found, restrictions=(wallet.domain.wallets.Restriction("operator", "all", "not yours"),)
            )
        )

    found = both(ledger, lambda: monkeypatch.setattr(context, "own", told_apart), "withdraw", OTHER_OWNERS_USER)

    assert any("withdraw: other owner: is told from nothing: 409" in each for each in found), found


def test_a_refusal_of_who_may_is_found(ledger: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = wallet.reads.reads_postgres
    planted = reads._GET.replace(OWNERS, f"{EVERYBODY} and false")

    found = both(ledger, lambda: monkeypatch.setattr(reads, "_GET", planted), "get_wallet", SERVICE)

    assert any("get_wallet: service: 404" in each for each in found), found
