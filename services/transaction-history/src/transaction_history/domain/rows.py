"""The rows of the read model. Amounts are integers of minor units, times are aware."""

from datetime import date, datetime
from uuid import UUID

import msgspec


class WalletRow(msgspec.Struct, frozen=True):
    """A wallet after its newest event. *restrictions* and *private* are JSON.

    *entries* and the totals count its entries of transactions since it was opened, fees within debits and credits;
    *fees_total* is what was charged less what was given back. *first_entry_at* and *last_entry_at* are of its rows in
    `entry`, changes of holds alone included.
    """

    wallet_id: UUID
    tenant_id: UUID
    owner_id: str
    currency: str
    status: str
    restrictions: str
    overdraft_limit_minor: int
    posted_minor: int
    held_minor: int
    version: int
    opened_at: datetime
    last_at: datetime
    private: str | None
    shard: int
    entries: int
    credits_total: int
    debits_total: int
    fees_total: int
    first_entry_at: datetime | None
    last_entry_at: datetime | None


class EntryRow(msgspec.Struct, frozen=True):
    """A wallet's entry of a transaction, which may take *related_transaction_id* back, wholly or in part.

    Then one entry of it tells how much: *refund_minor* of *refundable_minor* in all, in *refund_currency*. What changed
    only what is held is a row of amount 0 without a transaction, and is not counted. The members that end in *_after*
    are the wallet's after it, see WalletRow.
    """

    wallet_id: UUID
    version: int
    seq: int
    event_id: UUID
    tenant_id: UUID
    owner_id: str
    type: str
    transaction_id: UUID | None
    transaction_type: str | None
    entry_index: int | None
    entry_count: int | None
    currency: str
    amount_minor: int
    posted_minor_after: int
    held_minor_after: int
    counterparty_wallet_id: UUID | None
    counterparty_owner_id: str | None
    counterparty_account: str | None
    private: str | None
    occurred_at: datetime
    related_transaction_id: UUID | None
    is_forced: bool
    refund_minor: int | None
    refundable_minor: int | None
    refund_currency: str | None
    hold_id: UUID | None
    fee_rule: str | None
    shard: int
    entries_after: int
    credits_after: int
    debits_after: int
    fees_after: int


class SystemEntryRow(msgspec.Struct, frozen=True):
    """A system account's entry of a transaction; *wallet_id* is the wallet whose entry it balances."""

    transaction_id: UUID
    entry_index: int
    wallet_id: UUID
    seq: int
    event_id: UUID
    tenant_id: UUID
    transaction_type: str
    entry_count: int
    account: str
    currency: str
    amount_minor: int
    occurred_at: datetime
    shard: int


class StateChangeRow(msgspec.Struct, frozen=True):
    """An event of a wallet that moved no money and changed nothing of what is held."""

    wallet_id: UUID
    version: int
    seq: int
    event_id: UUID
    tenant_id: UUID
    owner_id: str
    type: str
    source: str | None
    scope: str | None
    private: str | None
    occurred_at: datetime
    shard: int


class TransactionRow(msgspec.Struct, frozen=True):
    """A transaction as some of its entries tell it; *entries_seen* of *entry_count*, which is None where none has come.

    *amounts* is what the entries credit by currency. Of what takes it back: *refunds* by id, which is by time,
    *refunded_minor* of *refundable_minor* in *refund_currency*, and *reversed_by* where all of it went by a reversal.
    *reverses* is what it takes back itself.
    """

    transaction_id: UUID
    tenant_id: UUID
    type: str | None
    entry_count: int | None
    entries_seen: int
    amounts: dict[str, int]
    created_at: datetime | None
    last_entry_at: datetime | None
    reverses: UUID | None
    reversed_by: UUID | None
    refunds: tuple[UUID, ...]
    refunded_minor: int
    refundable_minor: int | None
    refund_currency: str | None


class HoldRow(msgspec.Struct, frozen=True):
    """A hold after an event: amount = captured + released + remaining. *transactions* captured it, in their order.

    *version* is the wallet's then. *placed_at* is of the first event that is known.
    """

    wallet_id: UUID
    hold_id: UUID
    tenant_id: UUID
    owner_id: str
    shard: int
    currency: str
    purpose: str
    status: str
    amount_minor: int
    fee_reserved_minor: int
    captured_minor: int
    released_minor: int
    remaining_minor: int
    expires_at: datetime
    placed_at: datetime
    last_at: datetime
    version: int
    transactions: tuple[UUID, ...]


class BalanceDayRow(msgspec.Struct, frozen=True):
    """A wallet after its last row in `entry` of the UTC *day*."""

    wallet_id: UUID
    day: date
    tenant_id: UUID
    owner_id: str
    shard: int
    currency: str
    version: int
    posted_minor: int
    held_minor: int
    entries: int
    credits_total: int
    debits_total: int
    fees_total: int


Added = EntryRow | SystemEntryRow | StateChangeRow
"""A row that an event adds, and that never changes."""


class Changes(msgspec.Struct, frozen=True):
    """What one event changes: the wallet as it is now, a row that is added, the hold as it is now; None: nothing."""

    wallet: WalletRow | None
    added: Added | None
    hold: HoldRow | None = None
