"""The read model's writing side in PostgreSQL: one statement per table, whatever the number of rows.

New rows are copied in: half the cost of inserting from arrays, on both sides.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import astuple

from servicekit.columns import columns
from servicekit.postgres import Transaction
from transaction_history.domain.rows import (
    BalanceDayRow,
    EntryRow,
    HoldRow,
    StateChangeRow,
    SystemEntryRow,
    TransactionRow,
    WalletRow,
)
from transaction_history.projection.columns import Row, columns_of, row_of, selected
from transaction_history.projection.statements import CHANGED, HOLD, TRANSACTION, statements

SCHEMA: Final = "transaction_history"


class PostgresReadModel:
    """Writes to the tables in *schema*: the live one, or the one of a rebuild."""

    def __init__(self, schema: str = SCHEMA) -> None:
        self._schema = schema
        self._wallets = f"select {selected(WalletRow)} from {schema}.wallet where wallet_id = any ($1::uuid[])"
        self._statements = statements(schema)

    async def now(self, tx: Transaction) -> datetime:
        """Return the database's clock."""
        now: datetime = await tx.connection.fetchval("select clock_timestamp()")
        return now

    async def make_partitions(self, tx: Transaction, occurred: Collection[date], made: Collection[date]) -> None:
        """Make the partitions of the months in *occurred*, and of transactions made in those of *made*, if need be."""
        missing = await tx.connection.fetchrow(self._statements.missing_partitions, sorted(occurred), sorted(made))
        assert missing is not None
        if missing["occurred"] or missing["made"]:
            await tx.connection.execute(self._statements.make_partitions, missing["occurred"], missing["made"])

    async def wallets(self, tx: Transaction, wallet_ids: Collection[UUID]) -> dict[UUID, WalletRow]:
        """Return the known ones of *wallet_ids*."""
        if not wallet_ids:
            return {}
        records = await tx.connection.fetch(self._wallets, list(wallet_ids))
        return {record["wallet_id"]: row_of(WalletRow, record) for record in records}

    async def add_wallets(self, tx: Transaction, rows: Sequence[WalletRow]) -> None:
        """Add wallets."""
        await self._copy(tx, "wallet", WalletRow, rows)

    async def update_wallets(self, tx: Transaction, rows: Sequence[WalletRow]) -> None:
        """Write what events can change of known wallets."""
        if rows:
            await tx.connection.execute(self._statements.update_wallets, *columns(rows, *CHANGED))

    async def add_entries(self, tx: Transaction, rows: Sequence[EntryRow]) -> None:
        """Add entries."""
        await self._copy(tx, "entry", EntryRow, rows)

    async def add_system_entries(self, tx: Transaction, rows: Sequence[SystemEntryRow]) -> None:
        """Add system accounts' entries."""
        await self._copy(tx, "system_entry", SystemEntryRow, rows)

    async def add_state_changes(self, tx: Transaction, rows: Sequence[StateChangeRow]) -> None:
        """Add state changes."""
        await self._copy(tx, "state_change", StateChangeRow, rows)

    async def tell_transactions(self, tx: Transaction, rows: Sequence[TransactionRow]) -> None:
        """Add what *rows* tell of transactions to what is known of them."""
        if rows:
            plain = [name for name in TRANSACTION if name not in {"amounts", "refunds"}]
            amounts = [_json(row.amounts) for row in rows]
            refunds = [_array(row.refunds) for row in rows]
            await tx.connection.execute(self._statements.tell_transactions, *columns(rows, *plain), amounts, refunds)

    async def change_holds(self, tx: Transaction, rows: Sequence[HoldRow]) -> None:
        """Write holds as they are now; their transactions are added to those that are known."""
        if rows:
            plain = [name for name in HOLD if name != "transactions"]
            transactions = [_array(row.transactions) for row in rows]
            await tx.connection.execute(self._statements.change_holds, *columns(rows, *plain), transactions)

    async def end_days(self, tx: Transaction, rows: Sequence[BalanceDayRow]) -> None:
        """Write how wallets' days end as far as is known."""
        if rows:
            await tx.connection.execute(self._statements.end_days, *columns(rows, *columns_of(BalanceDayRow)))

    async def _copy(self, tx: Transaction, table: str, row_type: type[Row], rows: Sequence[Row]) -> None:
        if rows:
            await tx.connection.copy_records_to_table(
                table, schema_name=self._schema, columns=columns_of(row_type), records=map(astuple, rows)
            )


def _json(amounts: dict[str, int]) -> str:
    return msgspec.json.encode(amounts).decode()


def _array(ids: Iterable[UUID]) -> str:
    """Return *ids* as an array's text: a column of arrays cannot be unnested one row at a time."""
    return f"{{{','.join(map(str, ids))}}}"
