"""The ledger in PostgreSQL: connections of its own, one transaction per batch, two calls between BEGIN and COMMIT."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg.pgproto.pgproto import UUID as DriverUUID  # noqa: N811 - the driver names its class in capitals
from uuid_utils import uuid7

from servicekit.failures import Failure, classify
from servicekit.postgres import COMMAND_TIMEOUT_S, DRIVER_ERRORS, connect, given_up_after
from servicekit.replication import no_warning
from wallet.adapters.partitions_postgres import PARTITIONS_AHEAD
from wallet.adapters.wallet_rows import restrictions_text, wallet_from_row
from wallet.application.ports import Fenced, Plan
from wallet.application.rows import BatchRows, KeyRecord, Locked
from wallet.application.units import UnitKey
from wallet.domain.wallets import Wallet

COMMITTER: Final = "wallet-committer"
"""What a committer's session is called in the database."""
_LOCK_BATCH: Final = "select * from wallet.lock_batch($1, $2, $3)"
_WRITE_BATCH: Final = "select wallet.write_batch($1, $2, $3, $4, $5, $6, $7, $8)"
_COMMIT_FENCED: Final = "select * from wallet.commit_fenced_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_FENCES: Final = frozenset({"WL001", "WL002"})
_KEY_TAKEN: Final = "idempotency_pkey"
_JOURNAL: Final = "journal"
_MAKE_PARTITIONS: Final = "select wallet.ensure_journal_partitions($1)"
_CLOSE_TIMEOUT_S: Final = 1.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NamedRow: TypeAlias = tuple[UUID, int, int, int, int, str | None, int]
"""What a fence compares of a wallet: id, version, posted, held, status, restrictions, the operator's version."""


class PostgresLedger:
    """Commits batches on connections of its own, one per batch under way, made anew after a failure that may cost it.

    *takes_turn*: before it locks any row, a batch takes the database's turn, so that who waits holds nothing.
    """

    def __init__(self, dsn: str, *, application_name: str = COMMITTER, takes_turn: bool = True) -> None:
        self._dsn = dsn
        self._application_name = application_name
        self._takes_turn = takes_turn
        self._idle: list[Connection] = []

    async def commit(self, wallet_ids: Sequence[UUID], keys: Sequence[UnitKey], plan: Plan) -> list[int]:
        """See the port."""
        async with self._connected() as connection:
            await self.begin(connection)
            locked = await self.lock(connection, wallet_ids, keys)
            rows = plan(locked)
            sequences = await self.write(connection, rows) if rows.idempotency else []
            await self.finish(connection)
            return sequences

    async def commit_fenced(self, keys: Sequence[UnitKey], named: Mapping[UUID, Wallet], rows: BatchRows) -> Fenced:
        """See the port."""
        if len(rows.idempotency) == len(keys):
            keys = ()  # all are written, and their insert finds out which was taken
        async with self._connected() as connection:
            return await self.write_fenced(connection, keys, _named_rows(named), rows)

    def classify(self, error: Exception) -> Failure:
        """See the port. An error that is not the database's is one unit's bug: the batch is split to find it."""
        match error:
            case asyncpg.PostgresError(sqlstate=sqlstate) if sqlstate in _FENCES:
                return Failure.RETRY
            case asyncpg.UniqueViolationError(constraint_name=name) if name == _KEY_TAKEN:
                return Failure.RETRY
        if _lacks_partition(error):
            return Failure.RETRY
        failure = classify(error)
        if failure is Failure.OTHER and not isinstance(error, asyncpg.PostgresError):
            return Failure.DATA
        return failure

    async def close(self) -> None:
        """Close the connections that no batch has."""
        while self._idle:
            await _close(self._idle.pop())

    async def begin(self, connection: Connection) -> None:
        """Open the batch's transaction."""
        await connection.execute("begin")

    async def lock(self, connection: Connection, wallet_ids: Sequence[UUID], keys: Sequence[UnitKey]) -> Locked:
        """Lock the wallets, look up the keys, read the clock: in this order, in one call."""
        found = await connection.fetch(_LOCK_BATCH, self._takes_turn, wallet_ids, keys)
        return _read_locked(found, keys)

    async def write(self, connection: Connection, rows: BatchRows) -> list[int]:
        """Write all of *rows* in one call; return the journal rows' sequence numbers."""
        sequences = await connection.fetchval(_WRITE_BATCH, *_write_arguments(rows), rows.raised)
        return sequences or []

    async def write_fenced(
        self, connection: Connection, keys: Sequence[UnitKey], named: Sequence[NamedRow], rows: BatchRows
    ) -> Fenced:
        """Check, write and commit in one call, which is a transaction of its own."""
        assert not rows.raised, "a wallet ahead of the clock is written behind locks"
        with no_warning(connection):
            row = await connection.fetchrow(_COMMIT_FENCED, self._takes_turn, named, keys, *_write_arguments(rows))
        assert row is not None
        return Fenced(row["seqs"] or [], row["at"])

    async def finish(self, connection: Connection) -> None:
        """Commit the batch's transaction."""
        with no_warning(connection):
            await connection.execute("commit")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """Give a connection that no other batch has."""
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


_WALLET, _KEY, _TIME = range(3)


def _read_locked(found: Sequence[asyncpg.Record], keys: Sequence[UnitKey]) -> Locked:
    wallets = {}
    records = {}
    now = None
    for row in found:
        kind = row[0]
        if kind == _WALLET:
            wallets[row[1]] = wallet_from_row(row, first=1)
        elif kind == _KEY:
            records[keys[row["ordinal"] - 1]] = _record(row)
        else:
            assert kind == _TIME
            now = row["at"]
    assert now is not None, "lock_batch always answers the time"
    return Locked(wallets, records, now)


def _record(row: asyncpg.Record) -> KeyRecord:
    flat = row["positions"] or []
    positions = tuple(zip(flat[::2], flat[1::2], strict=True))
    return KeyRecord(row["fingerprint"], (row["status"], row["body"]), row["resource_id"], positions)


def _named_rows(named: Mapping[UUID, Wallet]) -> list[NamedRow]:
    return [
        (
            wallet.id,
            wallet.version,
            wallet.posted_minor,
            wallet.held_minor,
            wallet.status,
            restrictions_text(wallet.restrictions),
            wallet.operator_version,
        )
        for wallet in named.values()
    ]


def _write_arguments(rows: BatchRows) -> tuple[object, ...]:
    opened = [(w.id, w.tenant_id, w.owner_id, w.currency, w.private) for w in rows.opened]
    changed = [
        (
            wallet.id,
            version_before,
            wallet.version,
            wallet.posted_minor,
            wallet.held_minor,
            wallet.status,
            restrictions_text(wallet.restrictions),
            wallet.operator_version,
        )
        for wallet, version_before in zip(rows.changed, rows.versions_before, strict=True)
    ]
    return rows.now, opened, changed, rows.shards, rows.journal, rows.references, rows.idempotency


def make_id() -> UUID:
    """Return a new UUIDv7 of the driver's own type, which it sends several times faster than the standard one."""
    return DriverUUID(uuid7().bytes)
