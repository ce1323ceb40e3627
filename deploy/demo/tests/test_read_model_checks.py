import json
from typing import Any
from uuid import UUID

import pytest

from demo.findings import Findings
from demo.reconcile.read_model import check_rows, check_wallets, expected_row
from demo.reconcile.rows import JournalRow, ProjectedRow, ProjectedWallet, WalletRow
from demo.reconcile.streams import each, grouped, merged

ALICE, BOB = UUID(int=1), UUID(int=2)


async def holds(journal: list[JournalRow], projected: list[ProjectedRow]) -> bool:
    findings = Findings()
    await check_rows(each(journal), each(projected), findings)
    return findings.hold


@pytest.fixture
def projected(journal: list[JournalRow]) -> list[ProjectedRow]:
    return [expected_row(row) for row in journal]


def test_what_is_expected_of_the_read_model_comes_from_the_journal(projected: list[ProjectedRow]) -> None:
    opened, deposit, system = (projected[number] for number in (0, 2, 3))

    assert (opened.transaction_id, opened.currency, opened.amount_minor, opened.owner_id) == (None, None, None, "alice")
    assert (deposit.amount_minor, deposit.posted_minor_after, deposit.version) == (500, 500, 2)
    assert (system.account, system.amount_minor, system.owner_id) == ("external:USD", -500, None)
    assert (system.counterparty_wallet_id, system.version, system.posted_minor_after) == (None, None, None)


def test_what_belongs_to_a_hold_a_fee_or_a_refund_is_expected_too(journal: list[JournalRow]) -> None:
    held = journal[0]._replace(type="wallet.hold_placed.v1", held_after=70)
    refund = {"amount": {"amount": "1.20", "currency": "USD"}}
    told = {"fee_rule": "card", "forced": True, "related_transaction_id": str(ALICE), "refund": refund}
    entry = journal[2]._replace(payload=json.dumps({**told, "hold": {"id": str(BOB)}}).encode())
    row = expected_row(entry)

    assert (expected_row(held).held_minor_after, expected_row(journal[0]).held_minor_after) == (70, None)
    assert (row.fee_rule, row.is_forced, row.related_transaction_id) == ("card", True, ALICE)
    assert (row.refund_minor, row.hold_id) == (120, BOB)


async def test_the_read_model_has_nothing_of_the_policys_stream(
    journal: list[JournalRow], projected: list[ProjectedRow]
) -> None:
    policy = journal[0]._replace(seq=7, type="ledger.policy_changed.v1")

    assert await holds([*journal, policy], projected)
    assert not await holds([*journal, policy], [*projected, projected[0]._replace(seq=7)])


async def test_a_read_model_that_has_every_row_holds(journal: list[JournalRow], projected: list[ProjectedRow]) -> None:
    assert await holds(journal, projected)


async def test_a_missing_and_an_added_row_are_found(journal: list[JournalRow], projected: list[ProjectedRow]) -> None:
    rows = projected

    assert not await holds(journal, rows[:-1])
    assert not await holds(journal, rows[1:])
    assert not await holds(journal, [*rows, rows[-1]._replace(seq=7)])
    assert not await holds(journal, [*rows, rows[-1]])


@pytest.mark.parametrize(
    "changed",
    [
        *({"amount_minor": 501}, {"posted_minor_after": 1}, {"owner_id": "bob"}, {"version": 9}, {"account": "x"}),
        *({"fee_rule": "x"}, {"is_forced": True}, {"hold_id": UUID(int=1)}, {"refund_minor": 1}),
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_a_tampered_row_is_found(
    journal: list[JournalRow], projected: list[ProjectedRow], changed: dict[str, Any]
) -> None:
    projected[2] = projected[2]._replace(**changed)

    assert not await holds(journal, projected)


async def test_a_wallet_that_is_told_differently_is_found(wallets: dict[UUID, WalletRow]) -> None:
    known = [ProjectedWallet._make(row)._replace(restrictions="[]") for row in wallets.values()]
    tampered = known[0]._replace(posted_minor=1)
    frozen = known[0]._replace(restrictions='[{"source": "operator", "scope": "all"}]')

    results = []
    for rows in (known, [tampered, known[1]], [frozen, known[1]], known[:1]):
        findings = Findings()
        await check_wallets(each(wallets.values()), each(rows), findings)
        results.append(findings.hold)

    assert results == [True, False, False, False]


async def test_merged_streams_pair_equal_keys() -> None:
    pairs = [pair async for pair in merged(each([1, 2, 4]), each([2, 2, 3, 4, 5]), int, int)]

    assert pairs == [(1, None), (2, 2), (None, 2), (None, 3), (4, 4), (None, 5)]


async def test_grouped_streams_give_runs() -> None:
    runs = [run async for run in grouped(each([1, 3, 2, 5]), lambda number: number % 2)]

    assert runs == [(1, [1, 3]), (0, [2]), (1, [5])]
