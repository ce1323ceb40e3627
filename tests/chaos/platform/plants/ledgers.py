"""Ledgers with a bug, on the path of locked rows."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tests.chaos.platform.gated_ledger import FACTS, GatedLedger

from wallet.adapters.ledger_postgres import Connection
from wallet.application.rows import BatchRows, IdempotencyRow

_STORE = """
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""


class LateKeyLedger(GatedLedger):
    """Stores the idempotency records in a second transaction. Asks the gate between the two (`unkeyed`)."""

    _records: list[tuple[Any, ...]]

    async def begin(self, connection: Connection) -> None:
        self._records = []
        await super().begin(connection)

    async def write(self, connection: Connection, rows: BatchRows) -> list[int]:
        sequences = await super().write(connection, replace(rows, idempotency=[]))
        self._records = [
            (*record[:7], _positions(record, rows.shards, sequences), rows.now) for record in rows.idempotency
        ]
        return sequences

    async def finish(self, connection: Connection) -> None:
        await super().finish(connection)
        await self._gate.reach("unkeyed", FACTS.get())
        if self._records:
            await connection.executemany(_STORE, self._records)


def _positions(record: IdempotencyRow, shards: Sequence[int], sequences: Sequence[int]) -> list[int] | None:
    rows = list(_last_rows(record))
    return [part for row in rows for part in (shards[row - 1], sequences[row - 1])] if rows else None


def _last_rows(record: IdempotencyRow) -> Iterator[int]:
    if record.more_rows is not None:
        yield from map(int, record.more_rows.strip("{}").split(","))
    else:
        yield from (row for row in (record.first_row, record.second_row) if row is not None)


class EarlyAnswerLedger(GatedLedger):
    """Has the clients answered before COMMIT, which the next batch waits for. Asks the gate between (`answered`)."""

    _late: "asyncio.Task[None] | None" = None

    async def begin(self, connection: Connection) -> None:
        late, self._late = self._late, None
        if late is not None:
            await late
        await super().begin(connection)

    async def finish(self, connection: Connection) -> None:
        self._late = asyncio.create_task(self._finish_late(connection, FACTS.get()))

    async def _finish_late(self, connection: Connection, facts: dict[str, Any]) -> None:
        await self._gate.reach("answered", {**facts, "backend": connection.get_server_pid()})
        await super().finish(connection)
