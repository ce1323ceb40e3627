"""The read model's writing side in PostgreSQL: one statement per table, whatever the number of rows."""

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

from msgspec.structs import astuple

from servicekit.postgres import Transaction
from transaction_history.adapters.columns import Row, columns_of, insert, selected
from transaction_history.domain.rows import EntryRow, StateChangeRow, SystemEntryRow, WalletRow

SCHEMA: Final = "transaction_history"
_FIXED: Final = frozenset({"wallet_id", "tenant_id", "owner_id", "currency", "opened_at"})


class PostgresReadModel:
    """Writes to the tables in *schema*: the live one, or the one of a rebuild."""

    def __init__(self, schema: str = SCHEMA) -> None:
        changing = [column for column in columns_of(WalletRow) if column not in _FIXED]
        changes = ", ".join(f"{column} = excluded.{column}" for column in changing)
        self._wallets = f"SELECT {selected(WalletRow)} FROM {schema}.wallet WHERE wallet_id = ANY ($1::uuid[])"
        self._put_wallets = f"{insert(f'{schema}.wallet', WalletRow)} ON CONFLICT (wallet_id) DO UPDATE SET {changes}"
        self._add_entries = insert(f"{schema}.entry", EntryRow)
        self._add_system_entries = insert(f"{schema}.system_entry", SystemEntryRow)
        self._add_state_changes = insert(f"{schema}.state_change", StateChangeRow)

    async def wallets(self, tx: Transaction, wallet_ids: Collection[UUID]) -> dict[UUID, WalletRow]:
        """Return the known ones of *wallet_ids*."""
        if not wallet_ids:
            return {}
        records = await tx.connection.fetch(self._wallets, list(wallet_ids))
        return {record["wallet_id"]: WalletRow(**record) for record in records}

    async def put_wallets(self, tx: Transaction, rows: Sequence[WalletRow]) -> None:
        """Add or replace wallets."""
        await _write(tx, self._put_wallets, rows)

    async def add_entries(self, tx: Transaction, rows: Sequence[EntryRow]) -> None:
        """Add entries."""
        await _write(tx, self._add_entries, rows)

    async def add_system_entries(self, tx: Transaction, rows: Sequence[SystemEntryRow]) -> None:
        """Add system accounts' entries."""
        await _write(tx, self._add_system_entries, rows)

    async def add_state_changes(self, tx: Transaction, rows: Sequence[StateChangeRow]) -> None:
        """Add state changes."""
        await _write(tx, self._add_state_changes, rows)


async def _write(tx: Transaction, statement: str, rows: Sequence[Row]) -> None:
    if rows:
        columns: list[tuple[Any, ...]] = list(zip(*map(astuple, rows), strict=True))
        await tx.connection.execute(statement, *columns)
