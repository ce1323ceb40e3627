"""Long reads of the journal, in pieces of a bounded size: verifying, rebuilding, replaying and archiving."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from servicekit.postgres import Connection, connect
from wallet.domain.facts import JournalEvent

ROWS_PER_READ: Final = 10_000
ROW_BYTES: Final = """
    record_send(row(shard, seq, event_id, tenant_id, account_id, system_account, version, transaction_id, entry_index,
                    entry_count, type, currency, posted_delta, held_delta, posted_after, held_after, occurred_at, actor,
                    causation_id, traceparent, payload))"""
"""A journal row as it is hashed: every column in its binary form, in this order, which never changes."""
EVENT_COLUMNS: Final = """
    seq, tenant_id, account_id, version, type, currency, posted_delta, held_delta, posted_after, held_after,
    occurred_at, actor, case when type not in (2, 3, 4, 5, 9) then payload end"""
"""The columns of a `JournalEvent`; its version is null for a system account's entry.

Of plain entries, by far the most of a journal, the columns say all; their payload is not read.
"""

Progress = Callable[[int], None]
"""Called with how many journal rows were read since the last call."""
Rows = AsyncIterator[list[asyncpg.Record]]

_SESSION: Final = {"transaction_timeout": "0", "idle_in_transaction_session_timeout": "60s", "work_mem": "64MB"}
_COMMAND_TIMEOUT_S: Final = 1_800.0
# Beside the classes of lock_rows.sql: (7, 2) is shared by who reads the whole journal, and archiving takes it alone.
_SHARE: Final = "select pg_try_advisory_lock_shared(7, 2)"
_ALONE: Final = "select pg_try_advisory_lock(7, 2)"


class JournalBusyError(Exception):
    """The journal is being archived, or read as a whole by something that archiving would disturb."""


@asynccontextmanager
async def reading(dsn: str, *, application_name: str, alone: bool = False) -> AsyncIterator[Connection]:
    """Give a connection for a read of the whole journal: nothing is archived meanwhile, except by who reads *alone*.

    Raises JournalBusyError, and driver errors as they are. The lock is the session's, taken before any snapshot.
    """
    connection = await connect(
        dsn, application_name=application_name, session=_SESSION, command_timeout_s=_COMMAND_TIMEOUT_S
    )
    try:
        if not await connection.fetchval(_ALONE if alone else _SHARE):
            raise JournalBusyError(
                "the journal is being verified, rebuilt, replayed or archived: try again afterwards"
                if alone
                else "the journal is being archived: try again afterwards"
            )
        yield connection
    finally:
        await connection.close()


async def rows_of_shard(
    connection: Connection,
    columns: str,
    shard: int,
    *,
    after: int,
    table: str = "wallet.journal",
    end: int | None = None,
) -> Rows:
    """Give *columns* (seq first) of a shard's rows behind *after* and before *end*, page by page, ascending."""
    query = f"""
        select {columns} from {table}
         where shard = $1 and seq > $2 and ($3::bigint is null or seq < $3) order by seq limit {ROWS_PER_READ}"""
    while rows := await connection.fetch(query, shard, after, end):
        yield rows
        after = rows[-1][0]


def journal_event(row: asyncpg.Record) -> JournalEvent | None:
    """Return the event whose EVENT_COLUMNS *row* starts with; None for a system account's entry."""
    event = JournalEvent(*tuple(row)[:13])
    return None if row[3] is None else event


def chained(before: bytes, rows: Iterable[bytes]) -> "hashlib._Hash":
    """Return a running SHA-256 over the hash *before* and *rows*."""
    digest = hashlib.sha256(before)
    for row in rows:
        digest.update(row)
    return digest
