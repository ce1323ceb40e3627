"""What answers show of others' wallets, and of restrictions: each planted leak must be found by the cell about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from tests.access_matrix.callers import OTHER_OWNERS_USER, OWNERS_USER, SERVICE
from tests.access_matrix.conftest import Matrices
from tests.access_matrix.matrix import Matrix
from tests.access_matrix.showing import (
    SHOWS_RESTRICTIONS,
    SHOWS_TRANSACTIONS,
    Cell,
    LedgerCells,
    history_cells,
    judged,
    shown_to_users,
)

import transaction_history.entrypoints.bodies
import wallet.domain.sides
import wallet.entrypoints.bodies
import wallet.reads.reads_postgres
from wallet.domain.mandate import Mandate
from wallet.entrypoints.bodies import EntryBody, RestrictionBody, entry_body

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SHOWS_NONE_YET: Final = frozenset({"open_wallet"})
"""A wallet that was just opened has no restriction."""
SHOWS_ONE_OWNERS_ALONE: Final = frozenset(
    {
        "list_history_wallets",
        "get_history_wallet",
        "get_wallet_balance_series",
        "get_owner_balance_series",
        "list_counterparties",
        "get_totals",
        "list_statements",
        "get_statement",
        "get_dashboard",
        "list_top_wallets",
    }
)
"""What tells of wallets and of nobody on their other side: the matrix of operations sees who is answered."""
Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def ledger(matrices: Matrices) -> tuple[Matrix, LedgerCells]:
    matrix = matrices("wallet")
    return matrix, LedgerCells(matrix)


@pytest.fixture(scope="module")
def history(matrices: Matrices) -> tuple[Matrix, Mapping[str, Sequence[Cell]]]:
    matrix = matrices("transaction-history")
    return matrix, history_cells(matrix)


def all_judged(matrix: Matrix, cells: Mapping[str, Sequence[Cell]]) -> list[str]:
    return [finding for of_one in cells.values() for cell in of_one for finding in judged(matrix, cell)]


def test_of_anothers_wallet_the_ledger_shows_its_id_and_its_amount(ledger: tuple[Matrix, LedgerCells]) -> None:
    matrix, cells = ledger
    transactions = cells.transactions()

    assert transactions.keys() == shown_to_users("wallet", SHOWS_TRANSACTIONS)
    findings = all_judged(matrix, transactions)
    assert not findings, "\n".join(findings)


def test_of_anothers_wallet_the_history_shows_its_id_and_its_amount(
    history: tuple[Matrix, Mapping[str, Sequence[Cell]]],
) -> None:
    matrix, cells = history

    assert cells.keys() == shown_to_users("transaction-history", SHOWS_TRANSACTIONS) - SHOWS_ONE_OWNERS_ALONE
    findings = all_judged(matrix, cells)
    assert not findings, "\n".join(findings)


@pytest.mark.parametrize("service", ["notifications", "fraud", "access"])
def test_no_other_service_shows_users_a_transaction_or_a_restriction(service: str) -> None:
    assert not shown_to_users(service, SHOWS_TRANSACTIONS | SHOWS_RESTRICTIONS)


def test_why_a_payee_refuses_is_told_to_who_acts_for_it(ledger: tuple[Matrix, LedgerCells]) -> None:
    matrix, cells = ledger

    findings = [finding for cell in cells.refusals() for finding in judged(matrix, cell)]

    assert not findings, "\n".join(findings)


def test_who_restricted_a_wallet_and_why_is_told_to_staff(ledger: tuple[Matrix, LedgerCells]) -> None:
    matrix, cells = ledger
    restrictions = cells.restrictions()

    assert shown_to_users("wallet", SHOWS_RESTRICTIONS) - SHOWS_NONE_YET <= restrictions.keys()
    findings = all_judged(matrix, restrictions)
    assert not findings, "\n".join(findings)


# -- leaks


@pytest.fixture
def judge(
    ledger: tuple[Matrix, LedgerCells], history: tuple[Matrix, Mapping[str, Sequence[Cell]]]
) -> Iterator[Callable[[str], list[str]]]:
    """Give what judges every cell of an operation for the payer and the payee."""
    (matrix, cells), (other, of_history) = ledger, history
    counts = matrix.cells, other.cells
    of_ledger = [*cells.refusals()]
    for each in (cells.transactions(), cells.restrictions()):
        of_ledger += [cell for some in each.values() for cell in some]
    asked = [(matrix, cell) for cell in of_ledger] + [(other, cell) for some in of_history.values() for cell in some]
    users = OWNERS_USER, OTHER_OWNERS_USER

    def judged_for_users(operation: str) -> list[str]:
        of_it = [each for each in asked if each[1].operation == operation]
        return [finding for where, cell in of_it for finding in judged(where, cell, users)]

    yield judged_for_users
    matrix.cells, other.cells = counts  # what a planted leak does to a cell is no cell of the matrix


def show_the_version_of_what_was_just_made(patch: Patch) -> None:
    def leaking(fact: Any, wallet: Any, mandate: Mandate) -> EntryBody:
        shown = entry_body(fact, wallet, mandate)
        return msgspec.structs.replace(shown, version=wallet.version)

    patch.setattr("wallet.entrypoints.rendering.entry_body", leaking)


def show_the_balance_in_reads(patch: Patch) -> None:
    reads = wallet.reads.reads_postgres
    entry = reads._entry
    patch.setattr(reads, "_entry", lambda row: replace(entry(row), is_covered=True))


def show_the_owner_of_a_leg(patch: Patch) -> None:
    bodies = transaction_history.entrypoints.bodies
    leg = bodies._wallet_entry
    patch.setattr(
        bodies, "_wallet_entry", lambda row, caller: leg(row, caller).model_copy(update={"owner_id": row.owner_id})
    )


def show_the_owner_of_the_other_side(patch: Patch) -> None:
    bodies = transaction_history.entrypoints.bodies
    other = bodies._counterparty

    def leaking(row: Any, caller: Any) -> Any:
        shown = other(row, caller)
        return None if shown is None else shown.model_copy(update={"owner_id": row.counterparty_owner_id})

    patch.setattr(bodies, "_counterparty", leaking)


def tell_why_a_payee_refuses(patch: Patch) -> None:
    sides = wallet.domain.sides
    refuse = sides._refuse_credit

    def telling(payee: Any, *asked: Any, limit: Any = None) -> Any:
        amount_minor, currency, mandate, fee = (*asked, None)[:4]
        return refuse(payee, amount_minor, currency, mandate, fee, limit=limit)

    patch.setattr(sides, "refuse_credit", telling)


def tell_who_restricted(patch: Patch) -> None:
    def leaking(restriction: Any, _mandate: Mandate) -> RestrictionBody:
        return RestrictionBody(source=restriction.source, scope=restriction.scope)

    patch.setattr(wallet.entrypoints.bodies, "_restriction_body", leaking)


def tell_who_restricted_in_refusals(patch: Patch) -> None:
    patch.setattr(Mandate, "sees_restrictions", True)


@pytest.mark.parametrize(
    ("plant", "finding"),
    [
        (show_the_version_of_what_was_just_made, "transfer [alone]: owner: shows version of another's wallet"),
        (show_the_version_of_what_was_just_made, "batch [atomic]: other owner: shows version of another's wallet"),
        (
            show_the_version_of_what_was_just_made,
            "transfer [alone]: owner: in a repeat: shows version of another's wallet",
        ),
        (show_the_balance_in_reads, "get_transaction [of both]: owner: shows balance_after of another's wallet"),
        (show_the_balance_in_reads, "list_transactions [by reference]: owner: shows version of another's wallet"),
        (show_the_owner_of_a_leg, "get_transaction [of both]: other owner: shows owner_id of another's wallet"),
        (show_the_owner_of_the_other_side, "list_owner_entries [of both]: owner: shows owner_id of another's wallet"),
        (
            tell_why_a_payee_refuses,
            "transfer [alone, to a wallet that is closed]: owner: is told wallet_closed instead of payee_refuses",
        ),
        (tell_who_restricted, "get_wallet [restricted]: owner: tells the source of a restriction"),
        (tell_who_restricted_in_refusals, "withdraw [restricted]: other owner: tells the source of a restriction"),
    ],
)
def test_a_leak_is_found(
    judge: Callable[[str], list[str]], monkeypatch: Patch, plant: Callable[[Patch], None], finding: str
) -> None:
    operation = finding.partition(" ")[0]
    assert not judge(operation)

    plant(monkeypatch)

    assert finding in judge(operation)


def test_a_service_that_is_told_too_little_is_found(
    history: tuple[Matrix, Mapping[str, Sequence[Cell]]], monkeypatch: Patch
) -> None:
    matrix, cells = history
    count = matrix.cells
    bodies = transaction_history.entrypoints.bodies
    leg = bodies._wallet_entry
    nothing = {"owner_id": None, "version": None, "balance_after": None}
    monkeypatch.setattr(bodies, "_wallet_entry", lambda row, caller: leg(row, caller).model_copy(update=nothing))

    (cell,) = cells["get_transaction"]
    assert set(judged(matrix, cell, [SERVICE])) == {"get_transaction [of both]: service: does not show what is its own"}
    matrix.cells = count
