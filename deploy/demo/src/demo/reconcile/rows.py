"""The rows that are compared. Ids are UUIDs, amounts minor units."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


class JournalRow(NamedTuple):
    """A row of the wallet's journal."""

    shard: int
    seq: int
    event_id: UUID
    account_id: UUID
    system_account: str | None
    version: int | None
    transaction_id: UUID | None
    entry_index: int
    entry_count: int
    type: str
    currency: str
    posted_delta: int
    held_delta: int
    posted_after: int | None
    held_after: int | None
    occurred_at: datetime
    payload: bytes

    @property
    def is_of_terms(self) -> bool:
        """Whether it is of a stream that is no wallet's: the policy's, an owner's."""
        return self.system_account is None and self.type.startswith("ledger.")


class WalletRow(NamedTuple):
    """A row of the wallet table. *restrictions* is JSON."""

    id: UUID
    owner_id: str
    currency: str
    is_closed: bool
    restrictions: str | None
    posted_minor: int
    held_minor: int
    overdraft_limit_minor: int
    version: int
    opened_at: datetime
    last_at: datetime


class Event(NamedTuple):
    """A record of the topic. *published_at_s* is the broker's time, in seconds since 1970, if it keeps it."""

    shard: int
    seq: int
    key: str
    event_id: str
    type: str
    subject: str
    version: int | None
    transaction_id: str | None
    entry_index: int | None
    entry_count: int | None
    occurred_at: datetime
    published_at_s: float | None
    body: bytes


class ProjectedRow(NamedTuple):
    """A row of the read model that one event added. What its table lacks is None."""

    shard: int
    seq: int
    event_id: UUID
    wallet_id: UUID
    account: str | None
    version: int | None
    transaction_id: UUID | None
    transaction_type: str | None
    entry_index: int | None
    entry_count: int | None
    type: str
    currency: str | None
    amount_minor: int | None
    posted_minor_after: int | None
    held_minor_after: int | None
    owner_id: str | None
    counterparty_wallet_id: UUID | None
    counterparty_owner_id: str | None
    counterparty_account: str | None
    source: str | None
    scope: str | None
    private: Any
    occurred_at: datetime
    related_transaction_id: UUID | None
    is_forced: bool | None
    refund_minor: int | None
    hold_id: UUID | None
    fee_rule: str | None


class ProjectedWallet(NamedTuple):
    """A wallet of the read model. *restrictions* is JSON."""

    id: UUID
    owner_id: str
    currency: str
    is_closed: bool
    restrictions: str
    posted_minor: int
    held_minor: int
    overdraft_limit_minor: int
    version: int
    opened_at: datetime
    last_at: datetime


class HoldRow(NamedTuple):
    """A hold's row. What is held is the cap less what is used; *body* is JSON."""

    id: UUID
    wallet_id: UUID
    status: int
    cap_minor: int
    used_minor: int
    body: str


class RefundedRow(NamedTuple):
    """The row of a transaction of which something was taken back."""

    id: UUID
    status: int
    cap_minor: int
    used_minor: int
