"""What operators have ordered of a process's jobs: which rest, and which are to run now.

One session of each process listens; nobody looks at intervals. An order that was missed, with the session, is read when
the next one begins.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg
import structlog

from servicekit.maintenance.jobs import Job
from servicekit.postgres import DRIVER_ERRORS, connect

CHANNEL: Final = "servicekit_maintenance"
"""Where commands tell that there is an order."""
_LOOK_S: Final = 60.0
"""How often the orders are read though nobody has told of one: it also finds out whether the session is alive."""
_RETRY_S: Final = 1.0
_TIMEOUT_S: Final = 5.0

_REGISTER: Final = """
    insert into servicekit.maintenance_job (name, interval_s, has_leader, may_pause, seen_at)
    select n.*, clock_timestamp()
      from unnest($1::text[], $2::float8[], $3::boolean[], $4::boolean[]) n order by 1
    on conflict (name) do update
        set interval_s = excluded.interval_s, has_leader = excluded.has_leader, may_pause = excluded.may_pause,
            seen_at = excluded.seen_at"""
_READ: Final = """
    select name, asked, paused_at is not null as is_paused, paused_by
      from servicekit.maintenance_job where name = any ($1)"""

_Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_log = structlog.get_logger(__name__)


class Order:
    """What is ordered of one job, for the one task that does it."""

    def __init__(self) -> None:
        self.is_paused = False
        self.asked = 0
        self._changed = asyncio.Event()
        self._known = asyncio.Event()

    async def known(self) -> None:
        """Wait until the orders were read for the first time."""
        await self._known.wait()

    async def changed(self) -> None:
        """Wait until there is another order."""
        self._changed.clear()
        await self._changed.wait()

    def adopt(self, *, is_paused: bool, asked: int) -> bool:
        """Take what was read; return whether it is another order than before."""
        is_another = (is_paused, asked) != (self.is_paused, self.asked)
        self.is_paused, self.asked = is_paused, asked
        self._known.set()
        if is_another:
            self._changed.set()
        return is_another


class Orders:
    """The orders of *jobs*, as the database at *dsn* has them."""

    def __init__(self, jobs: Sequence[Job], *, dsn: str, application: str) -> None:
        self._jobs = jobs
        self._dsn = dsn
        self._application = application
        self._orders = {job.name: Order() for job in jobs}

    def of(self, job: str) -> Order:
        """Return what is ordered of *job*."""
        return self._orders[job]

    async def run(self) -> None:
        """Tell of the jobs, and follow the orders until cancelled; while none can be read the last ones hold."""
        while True:
            try:
                async with self._listening() as (session, told):
                    await self._register(session)
                    while not session.is_closed():
                        told.clear()
                        await self._read(session)
                        await _until(told)
            except (*DRIVER_ERRORS, OSError, TimeoutError) as error:
                _log.warning("maintenance.orders_not_read", error=repr(error))
            await asyncio.sleep(_RETRY_S)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[tuple[_Session, asyncio.Event]]:
        """Give a session, and an event that is set when it was told something, or has ended."""
        told = asyncio.Event()
        session = await connect(self._dsn, application_name=self._application, command_timeout_s=_TIMEOUT_S)
        try:
            session.add_termination_listener(lambda _: told.set())
            await session.add_listener(CHANNEL, lambda *_: told.set())
            yield session, told
        finally:
            session.terminate()

    async def _register(self, session: _Session) -> None:
        jobs = self._jobs
        await session.execute(
            _REGISTER,
            [job.name for job in jobs],
            [job.interval_s for job in jobs],
            [job.has_leader for job in jobs],
            [job.may_pause for job in jobs],
        )

    async def _read(self, session: _Session) -> None:
        for row in await session.fetch(_READ, list(self._orders)):
            order = self._orders[row["name"]]
            was_paused = order.is_paused
            if not order.adopt(is_paused=row["is_paused"], asked=row["asked"]):
                continue
            if order.is_paused and not was_paused:
                _log.warning("maintenance.paused", job=row["name"], by=row["paused_by"])
            elif was_paused and not order.is_paused:
                _log.info("maintenance.resumed", job=row["name"])


async def _until(told: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_S):
            await told.wait()
    except TimeoutError:
        return
