"""What a run of events writes, folded: each row once, as it ends. Pure.

A transaction's entries come from several shards, each in its own time: what they tell is added up, so that their order
does not matter.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar, assert_never
from uuid import UUID

import msgspec

from contracts.envelope import Envelope
from contracts.events import TRANSACTION_REVERSED, EventData
from transaction_history.domain.project import project
from transaction_history.domain.rows import (
    Added,
    BalanceDayRow,
    EntryRow,
    HoldRow,
    StateChangeRow,
    SystemEntryRow,
    TransactionRow,
    WalletRow,
)

Key = TypeVar("Key", UUID, tuple[UUID, UUID])
Row = TypeVar("Row")


class Rows:
    """What a run of events writes; wallets, holds, days and transactions come once, in the order of their keys.

    In one order for all, so that two writers never wait for each other in a circle.
    """

    def __init__(self) -> None:
        self.entries: list[EntryRow] = []
        self.system_entries: list[SystemEntryRow] = []
        self.state_changes: list[StateChangeRow] = []
        self._wallets: dict[UUID, WalletRow] = {}
        self._holds: dict[tuple[UUID, UUID], HoldRow] = {}

    @property
    def wallets(self) -> list[WalletRow]:
        """The wallets that changed, as they end."""
        return _by_key(self._wallets)

    @property
    def holds(self) -> list[HoldRow]:
        """The holds that changed, as they end; *transactions* are those of this run."""
        return _by_key(self._holds)

    @property
    def occurred(self) -> set[datetime]:
        """The instants of its entries and state changes."""
        return {row.occurred_at for row in self.entries} | {row.occurred_at for row in self.state_changes}

    @property
    def balance_days(self) -> list[BalanceDayRow]:
        """Each wallet's last entry of each day."""
        last = {(row.wallet_id, row.occurred_at.astimezone(UTC).date()): row for row in self.entries}
        return [
            BalanceDayRow(
                wallet_id=row.wallet_id,
                day=day,
                tenant_id=row.tenant_id,
                owner_id=row.owner_id,
                shard=row.shard,
                currency=row.currency,
                version=row.version,
                posted_minor=row.posted_minor_after,
                held_minor=row.held_minor_after,
                entries=row.entries_after,
                credits_total=row.credits_after,
                debits_total=row.debits_after,
                fees_total=row.fees_after,
            )
            for (_, day), row in sorted(last.items())
        ]

    @property
    def transactions(self) -> list[TransactionRow]:
        """What this run tells of each transaction."""
        told: dict[UUID, TransactionRow] = {}
        entries: list[EntryRow | SystemEntryRow] = [*self.entries, *self.system_entries]
        for entry in entries:
            if entry.transaction_id is None:
                continue
            _tell(told, _told_by_entry(entry, entry.transaction_id))
            refund = _told_by_refund(entry) if isinstance(entry, EntryRow) else None
            if refund is not None:
                _tell(told, refund)
        return _by_key(told)

    def add(self, row: Added) -> None:
        """Add a row to its kind."""
        match row:
            case EntryRow():
                self.entries.append(row)
            case SystemEntryRow():
                self.system_entries.append(row)
            case StateChangeRow():
                self.state_changes.append(row)
            case _:
                assert_never(row)

    def change(self, wallet: WalletRow) -> None:
        """Take *wallet* as it is now."""
        self._wallets[wallet.wallet_id] = wallet

    def change_hold(self, hold: HoldRow) -> None:
        """Take *hold* as it is now, behind what this run has seen of it."""
        key = (hold.wallet_id, hold.hold_id)
        before = self._holds.get(key)
        if before is not None:
            hold = msgspec.structs.replace(
                hold, placed_at=before.placed_at, transactions=(*before.transactions, *hold.transactions)
            )
        self._holds[key] = hold


def fold(parsed: Sequence[tuple[Envelope, EventData]], known: Mapping[UUID, WalletRow]) -> Rows:
    """Return what *parsed* events write when the wallets are as *known*; raises Contradiction."""
    wallets, rows = dict(known), Rows()
    for event, data in parsed:
        changes = project(event, data, wallets.get(event.subject))
        if changes.wallet is not None:
            wallets[event.subject] = changes.wallet
            rows.change(changes.wallet)
        if changes.added is not None:
            rows.add(changes.added)
        if changes.hold is not None:
            rows.change_hold(changes.hold)
    return rows


def _tell(told: dict[UUID, TransactionRow], more: TransactionRow) -> None:
    before = told.get(more.transaction_id)
    told[more.transaction_id] = more if before is None else merged(before, more)


def merged(one: TransactionRow, other: TransactionRow) -> TransactionRow:
    """Return what *one* and *other* tell of the same transaction together; it does not matter which came first."""
    return TransactionRow(
        transaction_id=one.transaction_id,
        tenant_id=one.tenant_id,
        type=one.type or other.type,
        entry_count=one.entry_count or other.entry_count,
        entries_seen=one.entries_seen + other.entries_seen,
        amounts={
            currency: one.amounts.get(currency, 0) + other.amounts.get(currency, 0)
            for currency in sorted({*one.amounts, *other.amounts})
        },
        created_at=min((at for at in (one.created_at, other.created_at) if at is not None), default=None),
        last_entry_at=max((at for at in (one.last_entry_at, other.last_entry_at) if at is not None), default=None),
        reverses=one.reverses or other.reverses,
        reversed_by=one.reversed_by or other.reversed_by,
        refunds=tuple(sorted({*one.refunds, *other.refunds})),
        refunded_minor=one.refunded_minor + other.refunded_minor,
        refundable_minor=one.refundable_minor or other.refundable_minor,
        refund_currency=one.refund_currency or other.refund_currency,
    )


def _told_by_entry(entry: EntryRow | SystemEntryRow, transaction_id: UUID) -> TransactionRow:
    return msgspec.structs.replace(
        _untold(transaction_id, entry.tenant_id),
        type=entry.transaction_type,
        entry_count=entry.entry_count,
        entries_seen=1,
        amounts={entry.currency: entry.amount_minor} if entry.amount_minor > 0 else {},
        created_at=entry.occurred_at,
        last_entry_at=entry.occurred_at,
        reverses=entry.related_transaction_id if isinstance(entry, EntryRow) else None,
    )


def _told_by_refund(entry: EntryRow) -> TransactionRow | None:
    """Return what *entry* tells of the transaction that it takes back, if it is the one of its refund that does."""
    if entry.related_transaction_id is None or entry.refund_minor is None or entry.transaction_id is None:
        return None
    return msgspec.structs.replace(
        _untold(entry.related_transaction_id, entry.tenant_id),
        reversed_by=entry.transaction_id if entry.type == TRANSACTION_REVERSED.name else None,
        refunds=(entry.transaction_id,),
        refunded_minor=entry.refund_minor,
        refundable_minor=entry.refundable_minor,
        refund_currency=entry.refund_currency,
    )


def _untold(transaction_id: UUID, tenant_id: UUID) -> TransactionRow:
    return TransactionRow(
        transaction_id=transaction_id,
        tenant_id=tenant_id,
        type=None,
        entry_count=None,
        entries_seen=0,
        amounts={},
        created_at=None,
        last_entry_at=None,
        reverses=None,
        reversed_by=None,
        refunds=(),
        refunded_minor=0,
        refundable_minor=None,
        refund_currency=None,
    )


def _by_key(rows: Mapping[Key, Row]) -> list[Row]:
    return [rows[key] for key in sorted(rows)]
