"""The read model's reading side in PostgreSQL. Every statement names the tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import asyncpg

from contracts.ids import SHARDS
from servicekit.tenant_pool import TenantPool
from transaction_history.domain.rows import EntryRow, SystemEntryRow, WalletRow
from transaction_history.projection.columns import selected
from transaction_history.projection.read_model_postgres import SCHEMA

_WALLET = selected(WalletRow)
_ENTRY = selected(EntryRow)
_SYSTEM_ENTRY = selected(SystemEntryRow)

Row = TypeVar("Row", WalletRow, EntryRow, SystemEntryRow)


@dataclass(frozen=True, slots=True)
class OwnerScope:
    """The shards of an owner's wallets, and whether one of these is parked."""

    shards: Sequence[int]
    is_parked: bool


class HistoryReads:
    """Answers from the live schema. Another tenant's rows are not there."""

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def wallet(self, tenant_id: UUID, wallet_id: UUID) -> WalletRow | None:
        """Return a wallet."""
        query = f"select {_WALLET} from {SCHEMA}.wallet where tenant_id = $1 and wallet_id = $2"
        found = await self._rows(WalletRow, query, tenant_id, wallet_id)
        return found[0] if found else None

    async def owner_scope(self, tenant_id: UUID, owner_id: str) -> OwnerScope:
        """Return where an owner's wallets are, however many they are."""
        query = f"""
            select array(select distinct get_byte(uuid_send(wallet_id), 15) & {SHARDS - 1} from {SCHEMA}.wallet
                         where tenant_id = $1 and owner_id = $2 order by 1) as shards,
                   exists (select from servicekit.parked_subject join {SCHEMA}.wallet on wallet_id = subject
                           where projection = $3 and tenant_id = $1 and owner_id = $2) as is_parked"""
        (record,) = await self._fetch(query, tenant_id, owner_id, SCHEMA)
        return OwnerScope(record["shards"], record["is_parked"])

    async def wallet_entries(
        self, tenant_id: UUID, wallet_id: UUID, *, before_version: int | None, limit: int
    ) -> list[EntryRow]:
        """Return a wallet's entries, newest first, those older than *before_version*."""
        query = f"""
            select {_ENTRY} from {SCHEMA}.entry
            where tenant_id = $1 and wallet_id = $2 and version < coalesce($3, 9223372036854775807)
            order by version desc limit $4"""
        return await self._rows(EntryRow, query, tenant_id, wallet_id, before_version, limit)

    async def owner_entries(
        self, tenant_id: UUID, owner_id: str, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[EntryRow]:
        """Return the entries of all of an owner's wallets, newest first, those older than *before* (time, event)."""
        older = "" if before is None else "and (occurred_at, event_id) < ($4, $5)"
        query = f"""
            select {_ENTRY} from {SCHEMA}.entry where tenant_id = $1 and owner_id = $2 {older}
            order by occurred_at desc, event_id desc limit $3"""
        return await self._rows(EntryRow, query, tenant_id, owner_id, limit, *(before or ()))

    async def transaction(self, tenant_id: UUID, transaction_id: UUID) -> tuple[list[EntryRow], list[SystemEntryRow]]:
        """Return the entries of a transaction that have come so far, of wallets and of system accounts."""
        where = "where tenant_id = $1 and transaction_id = $2 order by entry_index"
        entries = f"select {_ENTRY} from {SCHEMA}.entry {where}"
        system_entries = f"select {_SYSTEM_ENTRY} from {SCHEMA}.system_entry {where}"
        return (
            await self._rows(EntryRow, entries, tenant_id, transaction_id),
            await self._rows(SystemEntryRow, system_entries, tenant_id, transaction_id),
        )

    async def entry_at(self, tenant_id: UUID, wallet_id: UUID, at: datetime) -> EntryRow | None:
        """Return the wallet's last entry up to and including *at*."""
        query = f"""
            select {_ENTRY} from {SCHEMA}.entry where tenant_id = $1 and wallet_id = $2 and occurred_at <= $3
            order by version desc limit 1"""
        found = await self._rows(EntryRow, query, tenant_id, wallet_id, at)
        return found[0] if found else None

    async def _rows(self, row_type: type[Row], query: str, tenant_id: UUID, *arguments: object) -> list[Row]:
        return [row_type(*record) for record in await self._fetch(query, tenant_id, *arguments)]

    async def _fetch(self, query: str, tenant_id: UUID, *arguments: object) -> list[asyncpg.Record]:
        """Run *query*, whose first argument is the tenant."""
        async with self._tenants.reading(tenant_id) as connection:
            return await connection.fetch(query, tenant_id, *arguments)
