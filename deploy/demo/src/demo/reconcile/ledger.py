"""The ledger against itself and against the player's record: I1 to I5."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from uuid import UUID

from demo.findings import Findings
from demo.money import from_text
from demo.reconcile.rows import JournalRow, WalletRow
from demo.reconcile.streams import grouped, merged
from demo.record import Acknowledged
from demo.states import WalletState

_VERSIONS: Final = "wallet {}: version {} follows {}"
_BALANCES: Final = "wallet {} version {}: posted and held are {}, folded {}"
_SETS_FLOOR: Final = {"wallet.opened.v1": "overdraft_limit", "wallet.overdraft_changed.v1": "limit"}
"""Which events tell how far below zero a wallet may go, and by which member."""
_FLOORS: Final = "wallet {} version {}: available {}, floor {}"


class ShardFold:
    """Folds one shard's journal in the order of its sequence, beside the shard's *wallets*."""

    def __init__(self, wallets: Mapping[UUID, WalletRow], findings: Findings) -> None:
        self._wallets = wallets
        self._findings = findings
        self._last_seq = 0
        self._folded: dict[UUID, tuple[int, int, int]] = {}
        self._floors: dict[UUID, int] = {}
        self._terms: dict[UUID, int] = {}

    def add(self, row: JournalRow) -> None:
        """Fold the next *row*."""
        dense = row.seq == self._last_seq + 1
        self._findings.judge("I4", "shard {}: {} follows {}", row.shard, row.seq, self._last_seq, is_right=dense)
        self._last_seq = row.seq
        if row.is_of_terms:
            version = self._terms.get(row.account_id, 0)
            dense = row.version == version + 1
            self._findings.judge("I4", _VERSIONS, row.account_id, row.version, version, is_right=dense)
            self._terms[row.account_id] = version + 1
        elif row.system_account is None:
            self._fold(row)

    def finish(self) -> None:
        """Compare what was folded with the rows of the wallets."""
        for wallet_id in self._wallets.keys() | self._folded.keys():
            row, folded = self._wallets.get(wallet_id), self._folded.get(wallet_id)
            actual = None if row is None else (row.version, row.posted_minor, row.held_minor)
            what = "wallet {}: its row says version, posted, held {}, its journal {}"
            self._findings.judge("I2", what, wallet_id, actual, folded, is_right=actual == folded)

    def _fold(self, row: JournalRow) -> None:
        version, posted, held = self._folded.get(row.account_id, (0, 0, 0))
        dense = row.version == version + 1
        self._findings.judge("I4", _VERSIONS, row.account_id, row.version, version, is_right=dense)
        after = (posted + row.posted_delta, held + row.held_delta)
        actual = (row.posted_after, row.held_after)
        self._findings.judge("I2", _BALANCES, row.account_id, row.version, actual, after, is_right=actual == after)
        self._check_floor(row)
        # Go on from what the row says, so that one breach is reported once.
        self._folded[row.account_id] = (row.version or 0, row.posted_after or 0, row.held_after or 0)

    def _check_floor(self, row: JournalRow) -> None:
        told: dict[str, Any] = json.loads(row.payload)
        if row.type in _SETS_FLOOR:
            limit = told[_SETS_FLOOR[row.type]]
            self._floors[row.account_id] = -from_text(limit["amount"], limit["currency"])
        floor = self._floors.get(row.account_id, 0)
        available = (row.posted_after or 0) - (row.held_after or 0)
        is_lowered = row.posted_delta - row.held_delta < 0
        below = is_lowered and available < floor and not told.get("forced", False)
        self._findings.judge("I3", _FLOORS, row.account_id, row.version, available, floor, is_right=not below)


async def check_transactions(
    journal: AsyncIterator[JournalRow], acknowledged: AsyncIterator[Acknowledged], findings: Findings
) -> int:
    """Check zero sums, and that journal and record know the same transactions; return how many the journal has.

    Both streams ascend by transaction id.
    """
    count = 0
    entries = grouped(journal, lambda row: _id_of(row).bytes)
    pairs = merged(entries, acknowledged, lambda group: group[0], lambda kept: kept.transaction_id)
    async for group, kept in pairs:
        count += group is not None
        if group is not None:
            _check_sums(group[1], findings)
        _check_acknowledged(None if group is None else group[1], kept, findings)
    return count


def _id_of(row: JournalRow) -> UUID:
    assert row.transaction_id is not None, "the stream has entries of transactions alone"
    return row.transaction_id


def _check_sums(entries: list[JournalRow], findings: Findings) -> None:
    sums: Counter[str] = Counter()
    for row in entries:
        sums[row.currency] += row.posted_delta
    is_whole = sorted(row.entry_index for row in entries) == list(range(entries[0].entry_count))
    is_zero = not any(sums.values())
    is_right = is_zero and is_whole and len(entries) > 1
    findings.judge("I1", "transaction {}: entries {}", entries[0].transaction_id, sums, is_right=is_right)


def _check_acknowledged(entries: list[JournalRow] | None, kept: Acknowledged | None, findings: Findings) -> None:
    if kept is None:
        assert entries is not None
        what = "transaction {} was never acknowledged"
        findings.judge("I5", what, entries[0].transaction_id, is_right=False)
        return
    transaction_id = UUID(bytes=kept.transaction_id)
    if entries is None:
        findings.judge("I5", "transaction {} was acknowledged and is not there", transaction_id, is_right=False)
        return
    actual, wanted = list(map(_entry, entries)), list(kept.entries)
    what = "transaction {}: entries {}, acknowledged {}"
    findings.judge("I5", what, transaction_id, actual, wanted, is_right=actual == wanted)
    if kept.position is not None:
        position = _position(entries)
        what = "transaction {}: at {}, acknowledged at {}"
        findings.judge("I5", what, transaction_id, position, kept.position, is_right=position == kept.position)


def _entry(row: JournalRow) -> tuple[str, int, str]:
    return (row.system_account or str(row.account_id), row.posted_delta, row.currency)


def _position(entries: list[JournalRow]) -> str:
    highest: dict[int, int] = {}
    for row in entries:
        highest[row.shard] = max(row.seq, highest.get(row.shard, 0))
    return ", ".join(f"{shard}-{seq}" for shard, seq in sorted(highest.items()))


async def check_wallets(
    rows: AsyncIterator[WalletRow], modelled: AsyncIterator[WalletState], findings: Findings
) -> int:
    """Compare the wallets with what the model made of every acknowledged command; both ascend by id."""
    count = 0
    async for row, state in merged(rows, modelled, lambda row: row.id.bytes, lambda state: state.id_bytes):
        count += row is not None
        actual = None if row is None else _actual(row)
        wanted = None if state is None else _wanted(state)
        what = "wallet {}: {}, by the acknowledgements of {} {}"
        names = (None if row is None else row.id, actual, None if state is None else state.name, wanted)
        findings.judge("I5", what, *names, is_right=actual == wanted)
    return count


_Compared = tuple[str, int, int, int, int, bool, list[str]]


def _wanted(state: WalletState) -> _Compared:
    scopes: list[str] = [] if state.scope is None else [state.scope]
    amounts = state.posted_minor, state.held_minor, state.overdraft_minor
    return (state.currency, *amounts, state.version, state.is_closed, scopes)


def _actual(row: WalletRow) -> _Compared:
    scopes = [restriction["scope"] for restriction in json.loads(row.restrictions or "[]")]
    amounts = row.posted_minor, row.held_minor, row.overdraft_limit_minor
    return (row.currency, *amounts, row.version, row.is_closed, scopes)
