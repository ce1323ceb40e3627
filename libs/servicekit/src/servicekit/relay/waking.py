"""Waking: a journal that is seldom written notifies its relay, which sleeps until then.

Each look of an idle relay costs it and its database the same, however seldom there is something to find. Who appends to
an outbox notifies its channel, and a relay that listens need not look often; without its connection it looks as any
other.
The wallet's journal notifies nobody: commits that notify take turns in the whole database.
"""

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from servicekit.lifecycle import Shutdown
from servicekit.postgres import DRIVER_ERRORS, Pool

_log = structlog.get_logger(__name__)


class Wakeup:
    """Listens to *channel* on a connection of its own beside *pool*; to nothing where it is None."""

    def __init__(self, pool: Pool, channel: str | None) -> None:
        self._pool = pool
        self._channel = channel
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._notified = asyncio.Event()

    @property
    def is_listening(self) -> bool:
        """Whether a notification would come."""
        return self._connection is not None and not self._connection.is_closed()

    async def listen(self) -> None:
        """Listen, again where the connection was lost; where that fails, the relay is not notified."""
        if self._channel is None or self.is_listening:
            return
        try:
            self._connection = await self._pool.connect_apart()
            await self._connection.add_listener(self._channel, self._notify)
        except (*DRIVER_ERRORS, OSError) as error:
            _log.warning("relay.not_listening", channel=self._channel, error=type(error).__name__)
            self.close()
        self._notified.set()  # what was written before is found by a look

    async def sleep(self, seconds: float, shutdown: Shutdown) -> None:
        """Sleep for *seconds*, or until something was written or the end is requested."""
        if not self.is_listening:
            await shutdown.sleep(seconds)
            return
        notified = asyncio.ensure_future(self._notified.wait())
        try:
            ending = asyncio.ensure_future(shutdown.wait())
            await asyncio.wait({notified, ending}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
        finally:
            notified.cancel()
        self._notified.clear()

    def close(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            with suppress(*DRIVER_ERRORS, OSError):
                self._connection.terminate()
            self._connection = None

    def _notify(self, *_: object) -> None:
        self._notified.set()
