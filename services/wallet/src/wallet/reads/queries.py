"""What consistent reads are asked for, and what they return."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletFilter:
    """Which wallets a list shows; None does not filter. *status* is `open`, `frozen` or `closed`."""

    owner_id: str | None
    currency: str | None
    status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One entry as it was read: of a wallet, or of *system_account* where that is not None."""

    transaction_id: UUID
    system_account: str | None
    wallet_id: UUID
    type: int
    version: int | None
    currency: str
    amount_minor: int
    posted_minor_after: int | None
    occurred_at: datetime
    payload: bytes
    is_covered: bool
    """Whether it is of a wallet of an owner that the reader acts for."""
