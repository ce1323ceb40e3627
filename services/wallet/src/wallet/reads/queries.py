"""What the reading routes ask of the ledger. Every question stands in one tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from wallet.domain.wallets import Wallet


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
    version: int | None
    currency: str
    amount_minor: int
    posted_minor_after: int | None
    occurred_at: datetime
    payload: bytes


class Reads(Protocol):
    """Strongly consistent reads. Raises as `Pool.connection` does."""

    async def wallet(self, tenant_id: UUID, wallet_id: UUID) -> Wallet | None:
        """Return the wallet as of now, or None."""
        ...

    async def wallets(self, tenant_id: UUID, wanted: WalletFilter, *, before: UUID | None, limit: int) -> list[Wallet]:
        """Return up to *limit* wallets, newest first, older than *before*."""
        ...

    async def entries(self, tenant_id: UUID, transaction_ids: Sequence[UUID]) -> list[JournalEntry]:
        """Return the entries of the transactions, newest transaction first, each in entry order."""
        ...

    async def transactions_by_reference(
        self, tenant_id: UUID, reference_hash: bytes, *, before: UUID | None, limit: int
    ) -> list[UUID]:
        """Return up to *limit* ids of the transactions under a reference, newest first, older than *before*."""
        ...
