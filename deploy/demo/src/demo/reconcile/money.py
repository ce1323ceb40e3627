"""Holds, refunds, limits and system accounts against what was acknowledged: I5, I6, I11, I16."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from demo.findings import Findings
from demo.money import from_text
from demo.reconcile.rows import HoldRow, RefundedRow
from demo.reconcile.streams import each, merged
from demo.states import HoldState, PostedState

HOLD_STATUSES: Final = ("open", "captured", "voided", "expired")
REFUND_STATUSES: Final = ("partially_refunded", "refunded", "reversed")
"""By their numbers in the ledger."""


async def check_holds(rows: AsyncIterator[HoldRow], kept: Mapping[UUID, HoldState], findings: Findings) -> int:
    """Compare every hold with the model's; the rows ascend by id. Return how many the ledger has."""
    count = 0
    modelled = each(sorted(kept.items(), key=lambda item: item[0].bytes))
    async for row, named in merged(rows, modelled, lambda row: row.id.bytes, lambda item: item[0].bytes):
        count += row is not None
        actual = None if row is None else _actual(row)
        wanted = None if named is None else _wanted(named[1])
        named_id = row.id if row is not None else named and named[0]
        what = "hold {}: status, held, fee, captured, released are {}, by the acknowledgements {}"
        findings.judge("I11", what, named_id, actual, wanted, is_right=actual == wanted)
    return count


def _actual(row: HoldRow) -> tuple[str, int, int, int, int]:
    body: dict[str, Any] = json.loads(row.body)
    parts = (body.get(f"{name}_minor", 0) for name in ("fee_reserved", "captured", "released"))
    fee, captured, released = parts
    return HOLD_STATUSES[row.status], row.cap_minor - row.used_minor, fee, captured, released


def _wanted(hold: HoldState) -> tuple[str, int, int, int, int]:
    held = hold.remaining_minor + hold.fee_minor
    return hold.status, held, hold.fee_minor, hold.captured_minor, hold.released_minor


async def check_held(rows: AsyncIterator[tuple[UUID, int, int]], findings: Findings) -> None:
    """Check that what is held of a wallet is what its open holds hold."""
    async for wallet_id, held_minor, by_holds_minor in rows:
        what = "wallet {}: {} is held, {} by its open holds"
        is_right = held_minor == by_holds_minor
        findings.judge("I11", what, wallet_id, held_minor, by_holds_minor, is_right=is_right)


async def check_refunded(
    rows: AsyncIterator[RefundedRow],
    kept: Mapping[UUID, PostedState],
    projected: Mapping[UUID, int],
    findings: Findings,
) -> int:
    """Compare what was taken back of each transaction; the rows ascend by id. Return of how many something was.

    *projected* is what the read model adds up.
    """
    count = 0
    modelled = each(sorted(kept.items(), key=lambda item: item[0].bytes))
    async for row, named in merged(rows, modelled, lambda row: row.id.bytes, lambda item: item[0].bytes):
        count += row is not None
        actual = None if row is None else (REFUND_STATUSES[row.status], row.cap_minor, row.used_minor)
        wanted = None if named is None else (named[1].status, named[1].paid_minor, named[1].refunded_minor)
        what = "transaction {}: status, paid and taken back are {}, by the acknowledgements {}"
        named_id = row.id if row is not None else named and named[0]
        findings.judge("I11", what, named_id, actual, wanted, is_right=actual == wanted)
    wanted_sums = {made: posted.refunded_minor for made, posted in kept.items()}
    for made in wanted_sums.keys() | projected.keys():
        sums = projected.get(made), wanted_sums.get(made)
        what = "transaction {}: the read model has {} taken back, by the acknowledgements {}"
        findings.judge("I6", what, made, *sums, is_right=sums[0] == sums[1])
    return count


def check_accounts(
    journal: Mapping[str, int], projected: Mapping[str, int], kept: Mapping[str, int], findings: Findings
) -> None:
    """Compare what every system account has by the journal, the read model and the acknowledgements."""
    for account in journal.keys() | projected.keys() | kept.keys():
        actual, told, wanted = (accounts.get(account, 0) for accounts in (journal, projected, kept))
        what = "account {}: {} by the journal, {} by the acknowledgements"
        findings.judge("I5", what, account, actual, wanted, is_right=actual == wanted)
        what = "account {}: {} by the read model, {} by the journal"
        findings.judge("I6", what, account, told, actual, is_right=told == actual)


def check_used(wallet_id: UUID, told: Iterable[Mapping[str, Any]], kept: Sequence[Any], findings: Findings) -> None:
    """Compare what a wallet's limits tell of windows with what the model counted."""
    names = ("scope", "operation", "window", "measure", "max", "used")
    actual = [tuple(_plain(each[name]) for name in names) for each in told if each["window"] in {"day", "month"}]
    what = "wallet {}: limits tell {}, by the acknowledgements {}"
    findings.judge("I16", what, wallet_id, actual, kept, is_right=actual == list(kept))


def _plain(value: Any) -> Any:
    return from_text(value["amount"], value["currency"]) if isinstance(value, dict) else value
