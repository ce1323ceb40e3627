"""Ledgers with a bug: on the path of locked rows, or where batches are decided ahead."""

import asyncio
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tests.chaos.platform.gate import Gate
from tests.chaos.platform.gated_ledger import FACTS, GatedLedger

from wallet.adapters.ledger_postgres import Connection
from wallet.application.ports import Committed
from wallet.application.rows import BatchInput, BatchRows, IdempotencyRow, Stamps
from wallet.application.units import UnitKey
from wallet.domain.rows import RowName

_STORE = """
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, shard,
                                    created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""


class LateKeyLedger(GatedLedger):
    """Stores the idempotency records in a second transaction. Asks the gate between the two (`unkeyed`)."""

    _records: list[tuple[Any, ...]]

    async def begin(self, connection: Connection) -> None:
        self._records = []
        await super().begin(connection)

    async def write_rows(self, connection: Connection, rows: BatchRows) -> list[int]:
        sequences = await super().write_rows(connection, replace(rows, idempotency=[]))
        self._records = [
            (*record[:7], _positions(record, rows.shards, sequences), record.shard, rows.now)
            for record in rows.idempotency
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


class UncheckedReadsLedger(GatedLedger):
    """Takes what was read without a lock as it was, whatever became of it."""

    def __init__(self, dsn: str, *, gate: Gate, commit_lock: bool) -> None:
        super().__init__(dsn, gate=gate, commit_lock=commit_lock)
        self._read: set[RowName] = set()

    async def read(self, names: Collection[RowName], keys: Collection[UnitKey]) -> BatchInput:
        self._read.update(names)
        return await super().read(names, keys)

    async def commit_if_unchanged(self, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows) -> Committed:
        checked = {name: stamp for name, stamp in expected.items() if name not in self._read}
        return await super().commit_if_unchanged(keys, checked, rows)


class OneStampLedger(GatedLedger):
    """Gives every row that this process writes the same stamp."""

    def __init__(self, dsn: str, *, gate: Gate, commit_lock: bool) -> None:
        super().__init__(dsn, gate=gate, commit_lock=commit_lock)
        self._drawn: set[int | None] = set()

    async def write_rows(self, connection: Connection, rows: BatchRows) -> list[int]:
        return await super().write_rows(connection, self._stamped(rows))

    async def commit_if_unchanged(self, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows) -> Committed:
        stamped = self._stamped(rows)
        return await super().commit_if_unchanged(keys, {name: self._one(at) for name, at in expected.items()}, stamped)

    def _stamped(self, rows: BatchRows) -> BatchRows:
        self._drawn.add(rows.stamp)
        moved = [wallet._replace(stamp_before=self._one(wallet.stamp_before)) for wallet in rows.moved]
        return replace(rows, stamp=self._one(rows.stamp), moved=moved)

    def _one(self, stamp: Any) -> Any:
        return os.getpid() if stamp in self._drawn else stamp
