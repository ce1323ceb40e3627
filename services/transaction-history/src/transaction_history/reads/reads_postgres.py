"""The read model's reading side in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from contracts.ids import SHARDS
from servicekit.conditions import Where
from servicekit.principal import Principal
from servicekit.tenant_pool import TenantPool
from transaction_history.domain.rows import EntryRow, SystemEntryRow, WalletRow
from transaction_history.projection.columns import row_of, selected
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


class Refund(NamedTuple):
    """What one refund took back of a transaction: *minor* of *refundable_minor* in all. *type* is its event's."""

    transaction_id: UUID
    type: str
    minor: int
    refundable_minor: int
    currency: str


class HistoryReads:
    """Answers from the live schema. What is another tenant's, or of an owner the caller does not act for, is not there.

    Every statement names the tenant and the owners.
    """

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def wallet(self, caller: Principal, wallet_id: UUID) -> WalletRow | None:
        """Return a wallet."""
        asked = Where({"tenant_id": caller.tenant_id, "wallet_id": wallet_id})
        asked.owners(caller.owners)
        found = await self._rows(WalletRow, caller, f"select {_WALLET} from {SCHEMA}.wallet {asked}", asked)
        return found[0] if found else None

    async def owner_scope(self, caller: Principal, owner_id: str) -> OwnerScope:
        """Return where an owner's wallets are, however many they are."""
        asked = _of_owner(caller, owner_id)
        query = f"""
            select array(select distinct get_byte(uuid_send(wallet_id), 15) & {SHARDS - 1} from {SCHEMA}.wallet
                         {asked} order by 1) as shards,
                   exists (select from servicekit.parked_subject join {SCHEMA}.wallet on wallet_id = subject
                           {asked} and projection = {asked.value(SCHEMA)}) as is_parked"""
        (record,) = await self._fetch(caller, query, asked)
        return OwnerScope(record["shards"], record["is_parked"])

    async def wallet_entries(
        self, caller: Principal, wallet_id: UUID, *, before_version: int | None, limit: int
    ) -> list[EntryRow]:
        """Return a wallet's entries, newest first, those older than *before_version*."""
        asked = Where({"tenant_id": caller.tenant_id, "wallet_id": wallet_id})
        asked.owners(caller.owners)
        asked.before(("version",), None if before_version is None else (before_version,))
        asked.require("transaction_id is not null")
        query = f"""
            select {_ENTRY} from {SCHEMA}.entry {asked}
            order by occurred_at desc, version desc limit {asked.value(limit)}"""
        return await self._rows(EntryRow, caller, query, asked)

    async def owner_entries(
        self, caller: Principal, owner_id: str, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[EntryRow]:
        """Return the entries of all of an owner's wallets, newest first, those older than *before* (time, event)."""
        asked = _of_owner(caller, owner_id)
        asked.before(("occurred_at", "event_id"), before)
        asked.require("transaction_id is not null")
        query = f"""
            select {_ENTRY} from {SCHEMA}.entry {asked}
            order by occurred_at desc, event_id desc limit {asked.value(limit)}"""
        return await self._rows(EntryRow, caller, query, asked)

    async def transaction(self, caller: Principal, transaction_id: UUID) -> tuple[list[EntryRow], list[SystemEntryRow]]:
        """Return the entries of a transaction that have come so far, of wallets and of system accounts.

        All of them, of whatever owner, where the caller acts for the owner of one, be it one that is still to come.
        """
        asked = Where({})
        of_it = f"tenant_id = {asked.value(caller.tenant_id)} and transaction_id = {asked.value(transaction_id)}"
        asked.require(of_it)
        if caller.owners is not None:
            sides = f"{asked.value(list(caller.owners))}::text[] && array[owner_id, counterparty_owner_id]"
            asked.require(f"exists (select from {SCHEMA}.entry where {of_it} and {sides})")
        entries = f"select {_ENTRY} from {SCHEMA}.entry {asked} order by entry_index"
        system_entries = f"select {_SYSTEM_ENTRY} from {SCHEMA}.system_entry {asked} order by entry_index"
        return (
            await self._rows(EntryRow, caller, entries, asked),
            await self._rows(SystemEntryRow, caller, system_entries, asked),
        )

    async def refunds(self, caller: Principal, transaction_id: UUID) -> list[Refund]:
        """Return what was taken back of a transaction so far, oldest first, in whatever order it has come."""
        asked = Where({"tenant_id": caller.tenant_id, "related_transaction_id": transaction_id})
        asked.require("refund_minor is not null")
        query = f"""
            select transaction_id, type, refund_minor, refundable_minor, refund_currency from {SCHEMA}.entry {asked}
            order by transaction_id"""
        return [Refund(*record) for record in await self._fetch(caller, query, asked)]

    async def entry_at(self, caller: Principal, wallet_id: UUID, at: datetime) -> EntryRow | None:
        """Return the wallet's last entry up to and including *at*."""
        asked = Where({"tenant_id": caller.tenant_id, "wallet_id": wallet_id})
        asked.owners(caller.owners)
        asked.require(f"occurred_at <= {asked.value(at)}")
        query = f"select {_ENTRY} from {SCHEMA}.entry {asked} order by occurred_at desc, version desc limit 1"
        found = await self._rows(EntryRow, caller, query, asked)
        return found[0] if found else None

    async def _rows(self, row_type: type[Row], caller: Principal, query: str, asked: Where) -> list[Row]:
        return [row_of(row_type, record) for record in await self._fetch(caller, query, asked)]

    async def _fetch(self, caller: Principal, query: str, asked: Where) -> list[asyncpg.Record]:
        async with self._tenants.reading(caller.tenant_id) as connection:
            return await connection.fetch(query, *asked.values)


def _of_owner(caller: Principal, owner_id: str) -> Where:
    """Return the conditions of an owner's rows, which none fulfils where the caller does not act for it."""
    asked = Where({"tenant_id": caller.tenant_id})
    owner = asked.value(owner_id)
    asked.require(f"owner_id = {owner}")
    # The owner that is asked for is compared, not each row's: where it is not the caller's, no row is read.
    asked.owners(caller.owners, owner)
    return asked
