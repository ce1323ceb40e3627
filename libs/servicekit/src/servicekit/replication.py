"""Synchronous standbys: what is visible on the primary need not be on the standby, and how that is waited for.

A commit whose wait for the standby is cut short (its session cancelled or terminated, the primary restarted) is visible
all the same. Who is about to publish what it read commits a barrier first: its own commit waits for the standby,
and with it for everything that was written before.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from servicekit.clock import monotonic_s
from servicekit.failures import Failure, Unavailable, classify
from servicekit.postgres import DRIVER_ERRORS, Connection, Pool

BARRIER_SQL: Final = """
    select set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'servicekit.barrier', '')"""
"""Write something, so that the transaction's commit waits for the standby; alone, or in a transaction with more.

Where the wait is cut short the server answers with a warning and no error: see `no_warning`. A connection that runs it
is given up at a time-out, never cancelled: the driver's `command_timeout` cancels.
"""


async def waits_for_standby(connection: Connection) -> bool:
    """Return whether the server has a synchronous standby configured, so that what is read needs a barrier first."""
    waits: bool = await connection.fetchval("select current_setting('synchronous_standby_names') <> ''")
    return waits


@contextmanager
def no_warning(connection: Connection) -> Iterator[None]:
    """Raise Unavailable (connection lost: the outcome is unknown) where the server warned while the body ran.

    The body ends a transaction: a wait for the standby that is cut short ends with a mere warning.
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
    """Return once the standby has all that *connection* could see; raises Unavailable if that cannot be confirmed.

    The connection has no transaction open and no `command_timeout`.
    """
    with no_warning(connection):
        await connection.execute(BARRIER_SQL)


class Barrier:
    """Passes barriers on a connection of its own beside *pool*, one at a time.

    A wait that takes too long is left to itself and waited for again the next time: it is never cancelled, and never
    occurs twice.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._passing: asyncio.Task[None] | None = None

    async def passed(self, within_s: float) -> None:
        """Return once the standby has everything that was visible when this was called.

        Raises Unavailable if that cannot be confirmed *within_s*.
        """
        ends_s = monotonic_s() + within_s
        if self._passing is not None:
            await self._finished(self._passing, ends_s)  # begun before what is asked for now was read
        self._passing = asyncio.ensure_future(self._pass())
        await self._finished(self._passing, ends_s)

    def close(self) -> None:
        """Give the connection up, with whatever waits on it."""
        if self._connection is not None:
            self._connection.terminate()
        if self._passing is not None:
            self._passing.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _finished(self, passing: "asyncio.Task[None]", ends_s: float) -> None:
        await asyncio.wait({passing}, timeout=max(0.0, ends_s - monotonic_s()))
        if not passing.done():
            raise Unavailable("The standby has not confirmed in time.", failure=Failure.RESOURCES)
        self._passing = None
        passing.result()

    async def _pass(self) -> None:
        try:
            if self._connection is None:
                self._connection = await self._pool.connect_apart()
            await pass_barrier(self._connection)
        except (*DRIVER_ERRORS, OSError, Unavailable) as error:
            self.close()
            self._connection = None
            raise Unavailable("The standby cannot be waited for.", failure=classify(error)) from error
