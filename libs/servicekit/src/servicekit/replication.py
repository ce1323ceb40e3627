"""Synchronous standbys: what is visible on the primary need not be on the standby, and how that is waited for.

A commit whose wait for the standby is cut short (its session cancelled or terminated, the primary restarted) is visible
all the same. Who is about to tell the world what it read commits a barrier first: its own commit waits for the standby,
and with it for everything that was written before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from servicekit.failures import Failure, Unavailable
from servicekit.postgres import Connection

BARRIER_SQL: Final = """
    SELECT set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'servicekit.barrier', '')"""
"""Write something, so that the transaction's commit waits for the standby; alone, or in a transaction with more.

Where the wait is cut short the server answers with a warning and no error: see `no_warning`. A connection that runs it
is given up at a time-out, never cancelled: the driver's `command_timeout` cancels.
"""


async def waits_for_standby(connection: Connection) -> bool:
    """Tell whether the server has a synchronous standby configured, so that reading needs a barrier before telling."""
    waits: bool = await connection.fetchval("SELECT current_setting('synchronous_standby_names') <> ''")
    return waits


@contextmanager
def no_warning(connection: Connection) -> Iterator[None]:
    """Raise Unavailable (connection lost: the outcome is unknown) where the server warned while the body ran.

    The body ends a transaction: a wait for the standby that is cut short is told by a mere warning.
    """
    warned: list[asyncpg.PostgresLogMessage] = []

    def heard(_: Connection, message: asyncpg.PostgresLogMessage) -> None:
        if message.severity_en == "WARNING":
            warned.append(message)

    connection.add_log_listener(heard)
    try:
        yield
    finally:
        connection.remove_log_listener(heard)
    if warned:
        raise Unavailable(f"The database warned: {warned[0].message}", failure=Failure.CONNECTION_LOST)


async def pass_barrier(connection: Connection) -> None:
    """Return once the standby has all that *connection* could see; raise Unavailable where that cannot be told.

    The connection has no transaction open and no `command_timeout`.
    """
    with no_warning(connection):
        await connection.execute(BARRIER_SQL)
