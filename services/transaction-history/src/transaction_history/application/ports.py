"""What the service needs of its database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from servicekit.postgres import Transaction
from transaction_history.domain.rows import EntryRow, StateChangeRow, SystemEntryRow, WalletRow


class ReadModel(Protocol):
    """Where rows are written, in a transaction that its caller has opened."""

    async def wallets(self, tx: Transaction, wallet_ids: Collection[UUID]) -> dict[UUID, WalletRow]:
        """Return the known ones of *wallet_ids*."""
        ...

    async def add_wallets(self, tx: Transaction, rows: Sequence[WalletRow]) -> None:
        """Add wallets."""
        ...

    async def update_wallets(self, tx: Transaction, rows: Sequence[WalletRow]) -> None:
        """Write what events can change of known wallets."""
        ...

    async def add_entries(self, tx: Transaction, rows: Sequence[EntryRow]) -> None:
        """Add entries."""
        ...

    async def add_system_entries(self, tx: Transaction, rows: Sequence[SystemEntryRow]) -> None:
        """Add system accounts' entries."""
        ...

    async def add_state_changes(self, tx: Transaction, rows: Sequence[StateChangeRow]) -> None:
        """Add state changes."""
        ...


@dataclass(frozen=True, slots=True)
class OwnerScope:
    """The shards of an owner's wallets, and whether one of these is parked."""

    shards: Sequence[int]
    is_parked: bool


class Reads(Protocol):
    """What is asked of the rows. Every question names the tenant, and another tenant's rows are not there."""

    async def wallet(self, tenant_id: UUID, wallet_id: UUID) -> WalletRow | None:
        """Return a wallet."""
        ...

    async def owner_scope(self, tenant_id: UUID, owner_id: str) -> OwnerScope:
        """Return where an owner's wallets are, however many they are."""
        ...

    async def wallet_entries(
        self, tenant_id: UUID, wallet_id: UUID, *, before_version: int | None, limit: int
    ) -> list[EntryRow]:
        """Return a wallet's entries, newest first, those older than *before_version*."""
        ...

    async def owner_entries(
        self, tenant_id: UUID, owner_id: str, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[EntryRow]:
        """Return the entries of all of an owner's wallets, newest first, those older than *before* (time, event)."""
        ...

    async def transaction(self, tenant_id: UUID, transaction_id: UUID) -> tuple[list[EntryRow], list[SystemEntryRow]]:
        """Return the legs of a transaction that have come so far, of wallets and of system accounts."""
        ...

    async def entry_at(self, tenant_id: UUID, wallet_id: UUID, at: datetime) -> EntryRow | None:
        """Return the wallet's last entry up to and including *at*."""
        ...
