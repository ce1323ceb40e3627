"""What a batch is decided on, read in one call: with a lock on its rows or without."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from servicekit.postgres import Connection
from wallet.adapters.row_columns import StateColumns, wallet_from_row
from wallet.application.rows import BatchInput, KeyRecord
from wallet.application.units import UnitKey
from wallet.domain.rows import RowName, Rows, StateName

_READ_ROWS: Final = "select * from wallet.read_rows_2($1, $2, $3)"
_LOCK_ROWS: Final = "select * from wallet.lock_rows_2($1, $2, $3, $4)"


class BatchReader:
    """Reads rows of any kind, idempotency records and the database's clock."""

    def __init__(self, states: StateColumns) -> None:
        self._states = states

    async def read(
        self, connection: Connection, names: Collection[RowName], keys: Sequence[UnitKey] = ()
    ) -> BatchInput:
        """Read without a lock, as of one snapshot."""
        return self._input(await connection.fetchrow(_READ_ROWS, *_by_table(names), keys), names, keys)

    async def lock(
        self, connection: Connection, names: Collection[RowName], keys: Sequence[UnitKey], *, commit_lock: bool
    ) -> BatchInput:
        """Lock the rows, then look up the keys, then read the clock; before all that, take the *commit_lock*."""
        found = await connection.fetchrow(_LOCK_ROWS, commit_lock, *_by_table(names), keys)
        return self._input(found, names, keys)

    def _input(self, found: asyncpg.Record | None, names: Collection[RowName], keys: Sequence[UnitKey]) -> BatchInput:
        assert found is not None, "both calls always answer the time"
        rows = Rows()
        stamps: dict[RowName, int | None] = {}
        for row in found["wallets"] or ():
            rows[row[0]] = wallet_from_row(row)
            stamps[row[0]] = row[-1]
        for row in found["states"] or ():
            state = self._states.from_row(row)
            rows[state.name] = state
            stamps[state.name] = row[-1]
        for name in names:
            if name not in stamps:
                rows[name] = stamps[name] = None
        records = {keys[row["ordinal"] - 1]: _record(row) for row in found["records"] or ()}
        return BatchInput(rows, stamps, records, found["at"])


def _by_table(names: Collection[RowName]) -> tuple[list[UUID], list[StateName]]:
    """Return the wallets' ids, and the names of the other rows."""
    wallets = [name for name in names if isinstance(name, UUID)]
    if len(wallets) == len(names):
        return wallets, []
    return wallets, [name for name in names if isinstance(name, StateName)]


def _record(row: asyncpg.Record) -> KeyRecord:
    flat = row["positions"] or []
    positions = tuple(zip(flat[::2], flat[1::2], strict=True))
    return KeyRecord(row["fingerprint"], (row["status"], row["body"]), row["resource_id"], positions)
