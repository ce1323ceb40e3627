"""Whether the database still has what was told of it.

A database that was restored from a backup, or failed over with a loss, has forgotten changes that everybody else knows
of: a revoked key is good in it. So nothing is done upon a database before the end of the topic was looked up in its
outbox. It counts as another one when its server, its file of the outbox, or the database itself is another than the one
that was compared: each admission and each change asks, in the same session or after it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import structlog

from access.identities.recording import SOURCE
from servicekit.failures import Halted, OperationalError
from servicekit.health import Check
from servicekit.postgres import Connection, Pool, transaction
from servicekit.relay import halts
from servicekit.relay.comparing import lacking
from servicekit.relay.halts import TopicEnd
from servicekit.relay.outbox import outbox_journal
from servicekit.relay.publisher import PublishError

COMPARE_S: Final = 1.0
"""How often the database is looked at where nobody asks."""
HALTED: Final = "The database was restored behind what it had told: nothing is done until an operator has decided."
NOT_COMPARED: Final = "The database was not yet compared with what it had told: nothing is done before."

_PLACE: Final = """
    select pg_postmaster_start_time() as started_at,
           (select oid::bigint from pg_database where datname = current_database()) as database,
           pg_relation_filenode('servicekit.outbox')::bigint as file,
           exists (select from servicekit.relay_halt where cleared_at is null) as is_halted"""
_log = structlog.get_logger(__name__)


class _Place(NamedTuple):
    """Which database it is: a restore of any kind changes one of these."""

    started_at: datetime
    database: int
    file: int


class Told(Protocol):
    """What has been told."""

    async def ends(self) -> Sequence[TopicEnd]:
        """Return the last record of each shard; raises PublishError where that cannot be read."""
        ...


class Continuity:
    """Compares the database behind *pool* with what was *told*; `watch` must run beside it."""

    def __init__(self, pool: Pool, told: Told) -> None:
        self._pool = pool
        self._told = told
        self._journal = outbox_journal(SOURCE)
        self._compared: _Place | None = None
        self._asked = asyncio.Event()
        self._detail = NOT_COMPARED
        self._forget: Callable[[], None] | None = None
        self.times = 0
        """How often a database was found whole: what was read before the last time may be of another one."""

    def forgets(self, forget: Callable[[], None]) -> None:
        """Have *forget* called whenever another database is found whole: it is about what was known before."""
        self._forget = forget

    async def require(self, connection: Connection) -> None:
        """Raise Halted unless the database behind *connection* was compared and is whole."""
        place, is_halted = await _look(connection)
        if not is_halted and place == self._compared:
            return
        self._compared = None
        self._asked.set()
        self._detail = HALTED if is_halted else NOT_COMPARED
        raise Halted(self._detail)

    async def required(self, times: int) -> None:
        """Raise Halted as `require` does, and where one was found whole since *times* was that often.

        Raises Unavailable where the database cannot be asked.
        """
        async with self._pool.connection() as connection:
            await self.require(connection)
        if times != self.times:
            raise Halted(NOT_COMPARED)

    async def compare(self) -> None:
        """Compare the database with the topic unless that is done; record what it lacks, so that the relay halts too.

        Raises Halted where it lacks something, PublishError where the topic cannot be read, and Unavailable.
        """
        async with self._pool.connection() as connection:
            place, is_halted = await _look(connection)
        if is_halted:
            self._compared, self._detail = None, HALTED
            raise Halted(HALTED)
        if place == self._compared:
            return
        self._compared, self._detail = None, NOT_COMPARED
        ends = await self._told.ends()
        async with self._pool.connection() as connection:
            missing = await lacking(self._journal, connection, ends)
            await _record(connection, missing)
            now, is_halted = await _look(connection)
        if is_halted or missing:
            self._detail = HALTED
            raise Halted(HALTED)
        if now != place:
            raise Halted(NOT_COMPARED)
        if self._forget is not None:
            self._forget()
        self._compared, self.times = place, self.times + 1

    async def watch(self) -> None:
        """Compare at once when asked, else every COMPARE_S, until cancelled."""
        while True:
            try:
                await self.compare()
            except Halted as halted:
                _log.error("access.halted", detail=halted.detail)
            except (OperationalError, PublishError) as error:
                _log.warning("access.not_compared", error=repr(error))
            except Exception as error:  # noqa: BLE001  a watch that ends would halt for ever
                _log.error("access.comparison_failed", error=repr(error))
            await self._wait()

    async def _wait(self) -> None:
        """Wait for COMPARE_S, or until somebody asks for another database than the one that was compared."""
        was_whole = self._compared is not None
        self._asked.clear()
        if not was_whole:
            await asyncio.sleep(COMPARE_S)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), COMPARE_S)

    def check(self) -> Check:
        """Return, for a deep look, whether the database is known to be whole."""
        is_whole = self._compared is not None
        return Check(ok=is_whole, detail="has all that was told" if is_whole else self._detail)


@asynccontextmanager
async def open_continuity(pool: Pool, told: Told) -> AsyncIterator[Continuity]:
    """Give what compares the database behind *pool* with what was *told*, and watch it while the body runs.

    It is compared before the body, unless the broker or the database is away: then nothing is done until it is.
    """
    continuity = Continuity(pool, told)
    with suppress(OperationalError, PublishError):
        await continuity.compare()
    watching = asyncio.create_task(continuity.watch(), name="continuity")
    try:
        yield continuity
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def compared(continuity: Continuity) -> None:
    """Compare once, for a command that ends; raises Halted where the database is not known to be whole."""
    try:
        await continuity.compare()
    except PublishError as error:
        raise Halted(f"{NOT_COMPARED} The broker does not answer: {error.kind}.") from error


async def _look(connection: Connection) -> tuple[_Place, bool]:
    row = await connection.fetchrow(_PLACE)
    assert row is not None, "a query without a from clause has a row"
    return _Place(row["started_at"], row["database"], row["file"]), row["is_halted"]


async def _record(connection: Connection, missing: Sequence[TopicEnd]) -> None:
    async with transaction(connection):
        for record in missing:
            await halts.record(connection, record)
