"""The ledger in PostgreSQL: connections of its own, one transaction per batch, two calls between BEGIN and COMMIT."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from servicekit.failures import Failure, classify
from servicekit.postgres import COMMAND_TIMEOUT_S, DRIVER_ERRORS, connect, given_up_after
from servicekit.replication import no_warning
from wallet.adapters.batch_reads import BatchReader
from wallet.adapters.partitions_postgres import PARTITIONS_AHEAD
from wallet.adapters.row_columns import StateColumns, wallet_row
from wallet.application.ports import Committed, Conflict, Decide
from wallet.application.rows import BatchInput, BatchRows, Stamps
from wallet.application.units import UnitKey
from wallet.domain.rows import RowKind, RowName

COMMITTER: Final = "wallet-committer"
"""What a committer's session is called in the database."""
_WRITE_ROWS: Final = "select wallet.write_rows_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
_COMMIT_ROWS: Final = (
    "select * from wallet.commit_rows_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
)
_STAMP_CONFLICT: Final = "WL001"
_KEY_CONFLICT: Final = "WL002"
_KEY_TAKEN: Final = "idempotency_pkey"
_ROW_MADE: Final = frozenset({"wallet_pkey", "state_pkey"})
"""The constraints that tell that somebody else has made a row meanwhile."""
_JOURNAL: Final = "journal"
_MAKE_PARTITIONS: Final = "select wallet.ensure_journal_partitions($1)"
_CLOSE_TIMEOUT_S: Final = 1.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class PostgresLedger:
    """Commits batches on connections of its own, one per batch under way, made anew after a failure that may cost it.

    *commit_lock*: a batch takes the database's one commit lock before it locks any row, so that who waits holds
    nothing. *kinds* are the kinds of rows besides wallets.
    """

    def __init__(
        self,
        dsn: str,
        *,
        kinds: Iterable[RowKind] = (),
        application_name: str = COMMITTER,
        commit_lock: bool = True,
    ) -> None:
        self._dsn = dsn
        self._states = StateColumns(kinds)
        self._reader = BatchReader(self._states)
        self._application_name = application_name
        self._commit_lock = commit_lock
        self._idle: list[Connection] = []
        self._turn = asyncio.Lock()

    async def read(self, names: Collection[RowName], keys: Collection[UnitKey]) -> BatchInput:
        async with self._connected() as connection:
            return await self.read_rows(connection, names, list(keys))

    async def commit(self, names: Collection[RowName], keys: Sequence[UnitKey], decide: Decide) -> list[int]:
        async with self._connected() as connection:
            await self.begin(connection)
            locked = await self.lock_rows(connection, names, keys)
            rows = decide(locked)
            sequences = await self.write_rows(connection, rows) if rows.idempotency else []
            await self.finish(connection)
            return sequences

    async def commit_if_unchanged(self, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows) -> Committed:
        async with self._connected() as connection:
            return await self.commit_rows(connection, keys, expected, rows)

    def classify(self, error: Exception) -> Failure:
        """Return what *error* asks of the committer.

        An error that is not the database's is one unit's bug: the batch is split to find it.
        """
        if self.conflict_of(error) is not None or _lacks_partition(error):
            return Failure.RETRY
        failure = classify(error)
        if failure is Failure.OTHER and not isinstance(error, asyncpg.PostgresError):
            return Failure.DATA
        return failure

    def conflict_of(self, error: BaseException) -> Conflict | None:
        match error:
            case asyncpg.UniqueViolationError(constraint_name=name) if name == _KEY_TAKEN:
                return Conflict.KEY
            case asyncpg.UniqueViolationError(constraint_name=name) if name in _ROW_MADE:
                return Conflict.STAMP
            case asyncpg.PostgresError(sqlstate=sqlstate) if sqlstate == _KEY_CONFLICT:
                return Conflict.KEY
            case asyncpg.PostgresError(sqlstate=sqlstate) if sqlstate == _STAMP_CONFLICT:
                return Conflict.STAMP
            case _:
                return None

    async def close(self) -> None:
        """Close the connections that no batch has."""
        while self._idle:
            await _close(self._idle.pop())

    async def begin(self, connection: Connection) -> None:
        """Open the batch's transaction."""
        await connection.execute("begin")

    async def read_rows(
        self, connection: Connection, names: Collection[RowName], keys: Sequence[UnitKey]
    ) -> BatchInput:
        """Read the rows, the keys and the clock, without a lock, in one call."""
        return await self._reader.read(connection, names, keys)

    async def lock_rows(
        self, connection: Connection, names: Collection[RowName], keys: Sequence[UnitKey]
    ) -> BatchInput:
        """Lock the rows, look up the keys, read the clock: in this order, in one call."""
        return await self._reader.lock(connection, names, keys, commit_lock=self._commit_lock)

    async def write_rows(self, connection: Connection, rows: BatchRows) -> list[int]:
        """Write all of *rows* in one call; return the journal rows' sequence numbers."""
        sequences = await connection.fetchval(_WRITE_ROWS, *self._written(rows), rows.raised)
        return sequences or []

    async def commit_rows(
        self, connection: Connection, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows
    ) -> Committed:
        """Check, write and commit in one call, which is a transaction of its own."""
        assert not rows.raised, "a wallet ahead of the clock is written behind locks"
        wallets, states = _stamps(expected)
        with no_warning(connection):
            row = await connection.fetchrow(
                _COMMIT_ROWS, self._commit_lock, wallets, states, keys, *self._written(rows)
            )
        assert row is not None
        return Committed(row["seqs"] or [], row["at"])

    async def finish(self, connection: Connection) -> None:
        """Commit the batch's transaction."""
        with no_warning(connection):
            await connection.execute("commit")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """Give a connection that no other batch has, in turn.

        A batch that waits for a new connection is not overtaken by the next, which was decided on what it leaves.
        """
        async with self._turn:
            self._idle = [connection for connection in self._idle if not connection.is_closed()]
            connection = self._idle.pop() if self._idle else await self._connect()
        try:
            with given_up_after(connection, COMMAND_TIMEOUT_S):
                yield connection
        except BaseException as error:
            if await _is_rolled_back(connection, error):
                self._idle.append(connection)
            else:
                await _close(connection)
                await self.close()  # what cost this one may have cost the others, and each would find out by waiting
            raise
        self._idle.append(connection)

    def _written(self, rows: BatchRows) -> tuple[object, ...]:
        """Return *rows* as the arguments of the calls that write."""
        stamp, states = rows.stamp, self._states
        return (
            rows.now,
            stamp,
            [(*wallet_row(wallet), stamp) for wallet in rows.opened],
            rows.moved,
            [(*wallet_row(wallet), stamp) for wallet in rows.changed],
            [(*states.to_row(state), stamp) for state in rows.made_states],
            [(*states.to_row(state), stamp) for state in rows.changed_states],
            rows.shards,
            rows.journal,
            rows.references,
            rows.idempotency,
        )

    async def _connect(self) -> Connection:
        return await connect(self._dsn, application_name=self._application_name, command_timeout_s=None)


async def _is_rolled_back(connection: Connection, error: BaseException) -> bool:
    """Roll back after *error*, and make the partitions it missed; return False where the connection may be lost."""
    if not isinstance(error, asyncpg.PostgresError) or classify(error) is Failure.CONNECTION_LOST:
        return False
    with suppress(*DRIVER_ERRORS, OSError), given_up_after(connection, COMMAND_TIMEOUT_S):
        await connection.execute("rollback")
        if _lacks_partition(error):
            await connection.execute(_MAKE_PARTITIONS, PARTITIONS_AHEAD)
        return True
    return False


def _lacks_partition(error: BaseException) -> bool:
    """Tell whether a shard has come to the end of the journal's partitions."""
    return isinstance(error, asyncpg.CheckViolationError) and error.table_name == _JOURNAL and not error.constraint_name


async def _close(connection: Connection) -> None:
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await connection.close()
    except (*DRIVER_ERRORS, OSError):
        connection.terminate()


def _stamps(
    expected: Stamps,
) -> tuple[list[tuple[UUID, int | None]], list[tuple[int, UUID, int | None]]]:
    """Return the stamps of the wallets and those of the other rows."""
    wallets, states = [], []
    for name, stamp in expected.items():
        if isinstance(name, UUID):
            wallets.append((name, stamp))
        else:
            states.append((*name, stamp))
    return wallets, states
