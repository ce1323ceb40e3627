"""The rows of the read model. Amounts are integers of minor units, times are aware."""

from datetime import datetime
from uuid import UUID

import msgspec


class WalletRow(msgspec.Struct, frozen=True):
    """A wallet after its newest event. *restrictions* and *private* are JSON."""

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


class EntryRow(msgspec.Struct, frozen=True):
    """A wallet's entry of a transaction, which may take *related_transaction_id* back, wholly or in part.

    Then one entry of it tells how much: *refund_minor* of *refundable_minor* in all, in *refund_currency*.
    """

    wallet_id: UUID
    version: int
    seq: int
    event_id: UUID
    tenant_id: UUID
    owner_id: str
    type: str
    transaction_id: UUID
    transaction_type: str
    entry_index: int
    entry_count: int
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


class StateChangeRow(msgspec.Struct, frozen=True):
    """An event of a wallet that moved no money. *held_minor_after* is None unless it changed what is held."""

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
    held_minor_after: int | None


class Changes(msgspec.Struct, frozen=True):
    """What one event changes: the wallet as it is now (None: no wallet changed), and the row that is added, if any."""

    wallet: WalletRow | None
    added: EntryRow | SystemEntryRow | StateChangeRow | None
