"""Planted: a hold that is lost, a refund counted twice, a fee that no account has, usage that somebody forgot."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from demo.findings import Findings
from demo.reconcile.money import check_accounts, check_held, check_holds, check_refunded, check_used
from demo.reconcile.rows import HoldRow, RefundedRow
from demo.reconcile.streams import each
from demo.states import Entry, HoldState, PostedState

ONE, OTHER, WALLET = UUID(int=1), UUID(int=2), UUID(int=3)
HOLD = HoldState("a", "USD", [(1, 500), (2, 100)], "captured", 9, captured_minor=200)
ROW = HoldRow(ONE, WALLET, 0, 615, 206, json.dumps({"captured_minor": 200, "fee_reserved_minor": 9}))
DEPOSIT = (Entry("a", "USD", 500, 500, 2), Entry("external:USD", "USD", -500))
POSTED = PostedState("deposit", DEPOSIT, [-200, 200], "partially_refunded", 1)
REFUNDED = RefundedRow(OTHER, 0, 500, 200)


def broken(findings: Findings) -> set[str]:
    return {name for name, invariant in findings.invariants.items() if not invariant.holds}


@pytest.mark.parametrize(
    ("rows", "kept", "names"),
    [
        ([ROW], {ONE: HOLD}, set()),
        ([], {ONE: HOLD}, {"I11"}),
        ([ROW], {}, {"I11"}),
        ([ROW._replace(status=1)], {ONE: HOLD}, {"I11"}),
        ([ROW._replace(used_minor=207)], {ONE: HOLD}, {"I11"}),
        ([ROW], {ONE: replace(HOLD, fee_minor=8)}, {"I11"}),
        ([ROW], {ONE: replace(HOLD, captured_minor=201)}, {"I11"}),
    ],
    ids=["right", "lost", "of nobody", "settled", "released a unit", "another fee", "captured twice"],
)
async def test_a_hold_that_differs_is_found(rows: list[HoldRow], kept: dict[UUID, HoldState], names: set[str]) -> None:
    findings = Findings()

    assert await check_holds(each(rows), kept, findings) == len(rows)
    assert broken(findings) == names


@pytest.mark.parametrize(("held_minor", "names"), [(409, set()), (410, {"I11"})])
async def test_a_wallet_holds_what_its_open_holds_do(held_minor: int, names: set[str]) -> None:
    findings = Findings()

    await check_held(each([(WALLET, held_minor, 409)]), findings)

    assert broken(findings) == names


@pytest.mark.parametrize(
    ("rows", "projected", "names"),
    [
        ([REFUNDED], {OTHER: 200}, set()),
        ([REFUNDED._replace(used_minor=400)], {OTHER: 200}, {"I11"}),
        ([REFUNDED._replace(status=1)], {OTHER: 200}, {"I11"}),
        ([], {OTHER: 200}, {"I11"}),
        ([REFUNDED], {OTHER: 400}, {"I6"}),
        ([REFUNDED], {}, {"I6"}),
        ([REFUNDED], {OTHER: 200, ONE: 1}, {"I6"}),
    ],
    ids=["right", "counted twice", "all of it", "lost", "told twice", "not told", "told of another"],
)
async def test_a_refund_that_is_counted_otherwise_is_found(
    rows: list[RefundedRow], projected: dict[UUID, int], names: set[str]
) -> None:
    findings = Findings()

    await check_refunded(each(rows), {OTHER: POSTED}, projected, findings)

    assert broken(findings) == names


@pytest.mark.parametrize(
    ("journal", "projected", "names"),
    [
        ({"fees:USD": 10}, {"fees:USD": 10}, set()),
        ({"fees:USD": 11}, {"fees:USD": 11}, {"I5"}),
        ({"fees:USD": 10}, {"fees:USD": 9}, {"I6"}),
        ({"fees:USD": 10, "rounding:USD": 1}, {"fees:USD": 10, "rounding:USD": 1}, {"I5"}),
        ({}, {}, {"I5"}),
    ],
    ids=["right", "a wrong fee", "told wrong", "a rounding of nothing", "no account"],
)
def test_a_system_account_that_has_something_else_is_found(
    journal: dict[str, int], projected: dict[str, int], names: set[str]
) -> None:
    findings = Findings()

    check_accounts(journal, projected, {"fees:USD": 10}, findings)

    assert broken(findings) == names


@pytest.mark.parametrize(("used", "names"), [("4.00", set()), ("3.99", {"I16"}), (None, {"I16"})])
def test_what_limits_tell_is_compared(used: str | None, names: set[str]) -> None:
    findings = Findings()
    limit = {"scope": "wallet", "operation": "debit", "measure": "amount", "max": {"amount": "9.00", "currency": "USD"}}
    told: list[dict[str, Any]] = [{**limit, "window": "transaction", "used": {"amount": "0.00", "currency": "USD"}}]
    if used is not None:
        told.append({**limit, "window": "day", "used": {"amount": used, "currency": "USD"}})

    check_used(WALLET, told, [("wallet", "debit", "day", "amount", 900, 400)], findings)

    assert broken(findings) == names
