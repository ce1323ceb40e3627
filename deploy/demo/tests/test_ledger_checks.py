import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from demo.findings import Findings
from demo.reconcile.ledger import ShardFold, check_transactions, check_wallets
from demo.reconcile.rows import JournalRow, WalletRow
from demo.reconcile.streams import each
from demo.record import Acknowledged
from demo.states import WalletState

Rows = list[JournalRow]
Spoil = Callable[[Rows], Rows]


def fold(rows: Rows, wallets: dict[UUID, WalletRow]) -> Findings:
    findings = Findings()
    shard = ShardFold(wallets, findings)
    for row in rows:
        shard.add(row)
    shard.finish()
    return findings


def broken(findings: Findings) -> set[str]:
    return {name for name, invariant in findings.invariants.items() if not invariant.holds}


def tampered(seq: int, **columns: Any) -> Spoil:
    return lambda rows: [row._replace(**columns) if row.seq == seq else row for row in rows]


def test_a_right_ledger_holds(journal: Rows, wallets: dict[UUID, WalletRow]) -> None:
    findings = fold(journal, wallets)

    assert broken(findings) == set()
    assert findings.invariants["I4"].checked == 11
    assert findings.invariants["I2"].checked == 7


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (tampered(3, posted_delta=501), {"I2"}),
        (tampered(5, posted_after=301), {"I2"}),
        (tampered(6, version=3), {"I2", "I4"}),
        (lambda rows: rows[:4] + rows[5:], {"I2", "I4"}),
        (lambda rows: [*rows, rows[-1]], {"I2", "I4"}),
        (tampered(5, posted_delta=-600, posted_after=-100), {"I2", "I3"}),
    ],
    ids=["other amount", "other balance", "version skipped", "row missing", "row twice", "below the floor"],
)
def test_a_tampered_journal_is_found(
    journal: Rows, wallets: dict[UUID, WalletRow], spoil: Spoil, names: set[str]
) -> None:
    assert broken(fold(spoil(journal), wallets)) == names


def overdrawn(**body: Any) -> Spoil:
    """Return what has the transfer leave Alice 3.00 below zero, with *body* in its event."""

    def spoil(rows: Rows) -> Rows:
        told = json.dumps({"overdraft_limit": None, **body}).encode()
        return [
            row._replace(posted_delta=-800, posted_after=-300, payload=told) if row.seq == 5 else row for row in rows
        ]

    return spoil


@pytest.mark.parametrize(
    ("limit", "body", "names"),
    [
        ("3.00", {}, set()),
        ("2.99", {}, {"I3"}),
        ("2.99", {"forced": True}, set()),
        ("2.99", {"forced": False}, {"I3"}),
    ],
    ids=["within its credit line", "below it", "by force", "not by force"],
)
def test_a_floor_is_that_of_its_time_and_force_goes_below_it(
    journal: Rows, wallets: dict[UUID, WalletRow], limit: str, body: dict[str, Any], names: set[str]
) -> None:
    alice, bob = wallets
    line = json.dumps({"limit": {"amount": limit, "currency": "USD"}}).encode()
    changed = journal[2]._replace(
        seq=5,
        version=3,
        transaction_id=None,
        type="wallet.overdraft_changed.v1",
        payload=line,
        posted_delta=0,
    )
    rows = overdrawn(**body)(journal)
    after = [rows[4]._replace(seq=6, version=4), rows[5]._replace(seq=7)]
    wallets[alice] = wallets[alice]._replace(posted_minor=-300, version=4)

    assert broken(fold([*rows[:4], changed, *after], wallets)) == names
    assert bob in wallets


def test_the_policys_stream_is_no_wallets_and_dense(journal: Rows, wallets: dict[UUID, WalletRow]) -> None:
    policy = journal[0]._replace(seq=7, account_id=UUID(int=9), type="ledger.policy_changed.v1", posted_after=None)

    assert broken(fold([*journal, policy], wallets)) == set()
    assert broken(fold([*journal, policy._replace(version=2)], wallets)) == {"I4"}


@pytest.mark.parametrize("changed", [{"posted_minor": 299}, {"version": 4}, {"held_minor": 1}])
def test_a_tampered_wallet_is_found(journal: Rows, wallets: dict[UUID, WalletRow], changed: dict[str, Any]) -> None:
    alice = journal[0].account_id
    wallets[alice] = wallets[alice]._replace(**changed)

    findings = fold(journal, wallets)

    assert broken(findings) == {"I2"}
    assert str(alice) in findings.invariants["I2"].examples[0]


def other(kept: Acknowledged, place: int, *, account: str | None = None, minor: int | None = None) -> Acknowledged:
    entries = list(kept.entries)
    before = entries[place]
    entries[place] = (account or before[0], before[1] if minor is None else minor, before[2])
    return kept._replace(entries=tuple(entries))


async def check(rows: Rows, kept: list[Acknowledged]) -> set[str]:
    findings = Findings()
    entries = [row for row in rows if row.transaction_id is not None]
    await check_transactions(each(entries), each(kept), findings)
    return broken(findings)


async def test_what_was_acknowledged_and_nothing_else_is_in_the_journal(
    journal: Rows, acknowledged: list[Acknowledged]
) -> None:
    assert await check(journal, acknowledged) == set()


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (lambda kept: kept[:1], {"I5"}),
        (lambda kept: [kept[0], kept[1], kept[1]], {"I5"}),
        (lambda kept: [kept[0], other(kept[1], 0, minor=-201)], {"I5"}),
        (lambda kept: [kept[0], other(kept[1], 1, account="another")], {"I5"}),
        (lambda kept: [kept[0], kept[1]._replace(entries=(*kept[1].entries, kept[1].entries[0]))], {"I5"}),
        (lambda kept: [kept[0], kept[1]._replace(position="0-5")], {"I5"}),
        (lambda kept: [*kept, kept[1]._replace(transaction_id=b"\xff" * 16)], {"I5"}),
    ],
    ids=[
        *("never acknowledged", "acknowledged twice", "other amount", "other payee"),
        *("a fee that was not charged", "other position", "lost"),
    ],
)
async def test_a_record_that_differs_is_found(
    journal: Rows,
    acknowledged: list[Acknowledged],
    spoil: Callable[[list[Acknowledged]], list[Acknowledged]],
    names: set[str],
) -> None:
    assert await check(journal, spoil(acknowledged)) == names


@pytest.mark.parametrize(
    "spoil",
    [tampered(6, posted_delta=199), tampered(6, currency="EUR"), lambda rows: rows[:-1]],
    ids=["other amount", "other currency", "one entry"],
)
async def test_a_transaction_that_does_not_sum_to_zero_is_found(
    journal: Rows, acknowledged: list[Acknowledged], spoil: Spoil
) -> None:
    assert await check(spoil(journal), acknowledged) == {"I1", "I5"}


async def test_a_wallet_that_the_acknowledgements_do_not_explain_is_found(
    wallets: dict[UUID, WalletRow],
) -> None:
    alice, bob = (WalletState(row.owner_id, "USD", row.posted_minor, row.version) for row in wallets.values())
    alice.id_bytes, bob.id_bytes = (wallet_id.bytes for wallet_id in wallets)
    spoilt = [
        [alice, replace(bob, posted_minor=201)],
        [alice, replace(bob, version=3)],
        [alice, replace(bob, is_closed=True)],
        [alice, replace(bob, scope="all")],
        [alice, replace(bob, held_minor=1)],
        [alice, replace(bob, overdraft_minor=1)],
        [alice],
    ]

    results = []
    for states in ([alice, bob], *spoilt):
        findings = Findings()
        await check_wallets(each(wallets.values()), each(states), findings)
        results.append(broken(findings))

    assert results == [set(), *([{"I5"}] * len(spoilt))]
