"""Pools, connections and transactions: every acquire has a deadline, every session bounds its transactions.

Nothing may stand between a pool and PostgreSQL that shares sessions: their bounds, and the tenant that one shows, are
theirs (`servicekit.service.pooler` finds it out).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from servicekit.buckets import FAST_S, Buckets
from servicekit.clock import monotonic_s
from servicekit.failures import Failure, PoolExhausted, Unavailable, classify, unfinished

if TYPE_CHECKING:
    _DriverConnection = asyncpg.Connection[asyncpg.Record]
else:
    _DriverConnection = asyncpg.Connection  # not subscriptable

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

SESSION_SETTINGS: Final = {
    # A stopped process cannot hold the rest: the server ends its transaction.
    "idle_in_transaction_session_timeout": "5s",
    "transaction_timeout": "15s",
    "lock_timeout": "5s",
    # Short statements only: compiling them costs more than it saves.
    "jit": "off",
}
BY_INDEX: Final = {"enable_seqscan": "off", "enable_bitmapscan": "off"}
"""Session settings for statements that have an index each: one planned while its table was empty or not yet analysed
must not turn to reading the whole of it, or all of a tenant's rows."""
TENANT: Final = "app.tenant_id"
"""The session's setting that the policies of row-level security compare each row's tenant with."""
DRIVER_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver raises; the last one where a connection ends in the middle of an exchange."""
CONNECT_TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 20.0  # beyond transaction_timeout: it ends a wait for a server that no longer speaks
STATEMENT_CACHE_SIZE: Final = 256
NAME_CHARS_MAX: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How a process reaches one database. *session* adds to, or replaces, the session settings of every connection."""

    dsn: str = field(repr=False)
    application_name: str
    min_size: int = 1
    max_size: int = 8
    acquire_timeout_s: float = 1.0
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    command_timeout_s: float = COMMAND_TIMEOUT_S
    statement_cache_size: int = STATEMENT_CACHE_SIZE
    session: dict[str, str] = field(default_factory=dict)


class TenantConnection(_DriverConnection):
    """A pool's connection, which remembers for whose tenant its session is set."""

    _shown: UUID | None = None  # None: nobody's, or not known

    async def show_tenant(self, tenant_id: UUID) -> None:
        """Have policies show this session the rows of *tenant_id* alone: a round trip where they show others now.

        No transaction may be open, for its rollback would take the setting back. Driver errors pass as they are; what
        is shown is then looked upon as not known.
        """
        if self._shown == tenant_id:
            return
        assert not self.is_in_transaction(), "a rollback would take back what is remembered"
        self._shown = None
        await self.fetchval("select set_config($1, $2, false)", TENANT, str(tenant_id))
        self._shown = tenant_id

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  the driver's own signature
        """Reset the session as the driver does, which takes its tenant off."""
        self._shown = None
        await super().reset(timeout=timeout)


class Transaction:
    """Proof that a transaction is open on *connection*: a function that must run inside one takes this type.

    Only `Pool.transaction` and `transaction` make one. No irreversible effect (HTTP, Kafka, mail) while one is open.
    """

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        assert connection.is_in_transaction(), "a Transaction proves an open transaction"
        self.connection = connection


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[Transaction]:
    """Run the body in one READ COMMITTED transaction on *connection*; an error rolls it back and passes unchanged."""
    async with connection.transaction():
        yield Transaction(connection)


@asynccontextmanager
async def trial(connection: Connection) -> AsyncIterator[Transaction]:
    """Run the body in a transaction that is rolled back in any case: what would be done is seen, and nothing stays."""
    opened = connection.transaction()
    await opened.start()
    try:
        yield Transaction(connection)
    finally:
        await opened.rollback()


class NotLent(StrEnum):
    """Why a pool lent no connection."""

    EXHAUSTED = "exhausted"
    LATE = "late"
    """A connection was to be opened, and the database did not answer in time."""
    UNREACHABLE = "unreachable"


class Lending:
    """How long lent connections were waited for, and how often none was lent, by reason."""

    def __init__(self) -> None:
        self.waits = Buckets(FAST_S)
        self.failures = dict.fromkeys(NotLent, 0)


class Pool:
    """A bounded set of connections to one database. Make one with `open_pool`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", settings: PoolSettings, opened: "_Opened") -> None:
        self._pool = pool
        self._settings = settings
        self._opened = opened
        self.lending = Lending()

    @property
    def opened(self) -> int:
        """How many connections were opened so far: where it grows, the server may be another than before."""
        return self._opened.count

    @property
    def size(self) -> int:
        """How many connections are open."""
        return self._pool.get_size()

    @property
    def size_max(self) -> int:
        """How many connections there may be."""
        return self._settings.max_size

    @property
    def busy(self) -> int:
        """How many connections are in use."""
        return self._pool.get_size() - self._pool.get_idle_size()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection for the body.

        Raises PoolExhausted when none is free in time, Unavailable when the database cannot be reached or the body's
        statement met a lost connection, exhausted resources or a lock that stayed taken; other errors pass.
        """
        connection = await self._acquire()
        try:
            yield connection
        except (*DRIVER_ERRORS, ConnectionError, TimeoutError) as error:
            if classify(error) is Failure.CONNECTION_LOST:
                await self._distrust_idle()
            unavailable = unfinished(error)
            if unavailable is not None:
                raise unavailable from error
            raise
        finally:
            await self._release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run the body in one transaction on a lent connection; raises as `connection` does."""
        async with self.connection() as connection, transaction(connection) as opened:
            yield opened

    async def connect_apart(self) -> "asyncpg.Connection[asyncpg.Record]":
        """Open a connection outside the pool, without a `command_timeout`: whoever waits on it must not cancel.

        The caller closes it. Driver errors pass as they are.
        """
        return await connect(
            self._settings.dsn,
            application_name=self._settings.application_name,
            connect_timeout_s=self._settings.connect_timeout_s,
            command_timeout_s=None,
            statement_cache_size=self._settings.statement_cache_size,
            session=self._settings.session,
        )

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait up to *timeout_s* for lent connections to come back, then close all, forcibly where needed."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _acquire(self) -> "PoolConnectionProxy[asyncpg.Record]":
        began_s = monotonic_s()
        try:
            connection = await self._pool.acquire(timeout=self._settings.acquire_timeout_s)
        except TimeoutError as error:
            if self.busy >= self._settings.max_size:
                self.lending.failures[NotLent.EXHAUSTED] += 1
                raise PoolExhausted("Every database connection is busy.") from error
            self.lending.failures[NotLent.LATE] += 1
            raise Unavailable("The database did not answer in time.") from error
        except (*DRIVER_ERRORS, OSError) as error:
            self.lending.failures[NotLent.UNREACHABLE] += 1
            raise Unavailable("The database cannot be reached.", failure=classify(error)) from error
        self.lending.waits.observe(monotonic_s() - began_s)
        return connection

    async def _release(self, connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
        # A connection whose release fails is terminated by the pool, which opens another in its place.
        try:
            await self._pool.release(connection, timeout=self._settings.acquire_timeout_s)
        except (*DRIVER_ERRORS, OSError):
            await self._distrust_idle()

    async def _distrust_idle(self) -> None:
        """Lend none of the connections that there are again: one by one each would cost a statement's timeout."""
        await self._pool.expire_connections()


class _Opened:
    """Counts the connections that a pool opens."""

    def __init__(self) -> None:
        self.count = 0

    async def add(self, _: object) -> None:
        self.count += 1


async def open_pool(settings: PoolSettings) -> Pool:
    """Open a pool with `min_size` connections; raises Unavailable if the database cannot be reached."""
    opened = _Opened()
    try:
        pool = await asyncpg.create_pool(
            settings.dsn,
            min_size=settings.min_size,
            max_size=settings.max_size,
            timeout=settings.connect_timeout_s,
            command_timeout=settings.command_timeout_s,
            statement_cache_size=settings.statement_cache_size,
            server_settings=_server_settings(settings.application_name, settings.session),
            init=opened.add,
            connection_class=TenantConnection,
            reset=_keep_session,
        )
    except (*DRIVER_ERRORS, OSError) as error:
        raise Unavailable("The database cannot be reached.", failure=classify(error)) from error
    return Pool(pool, settings, opened)


async def connect(
    dsn: str,
    *,
    application_name: str,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    command_timeout_s: float | None = COMMAND_TIMEOUT_S,
    statement_cache_size: int = STATEMENT_CACHE_SIZE,
    session: dict[str, str] | None = None,
) -> "asyncpg.Connection[asyncpg.Record]":
    """Open a dedicated connection with the session settings of a pool's; the caller closes it.

    Without a *command_timeout_s* the caller bounds its statements by `given_up_after`.

    Driver errors pass as they are, for `classify`: who holds a dedicated connection decides itself what to do.
    """
    return await asyncpg.connect(
        dsn,
        timeout=connect_timeout_s,
        command_timeout=command_timeout_s,
        statement_cache_size=statement_cache_size,
        server_settings=_server_settings(application_name, session or {}),
    )


@contextmanager
def given_up_after(connection: "asyncpg.Connection[asyncpg.Record]", seconds: float) -> Iterator[None]:
    """Terminate *connection* where the body takes longer than *seconds*; its statement then fails as a lost connection.

    A driver's time-out would ask the server to cancel the statement instead. A COMMIT that waits for a standby answers
    that with success and a mere warning, and a success would not prove what was promised.
    """
    watchdog = asyncio.get_running_loop().call_later(seconds, connection.terminate)
    try:
        yield
    finally:
        watchdog.cancel()


class _Process:
    """What all sessions of this process have in common."""

    release = ""


def name_sessions(release: str) -> None:
    """Have every session that this process opens from now on be called `name@release`, without one just `name`."""
    _Process.release = release


def _server_settings(application_name: str, session: dict[str, str]) -> dict[str, str]:
    return {"application_name": _session_name(application_name, _Process.release), **SESSION_SETTINGS, **session}


def _session_name(application_name: str, release: str) -> str:
    """Return the name with the release behind it, whole: PostgreSQL cuts off what is beyond NAME_CHARS_MAX."""
    if not release:
        return application_name
    return f"{application_name[: NAME_CHARS_MAX - len(release) - 1]}@{release}"


async def _keep_session(_: object) -> None:
    """Spare the round trip of RESET ALL: nobody changes a session, and the driver has rolled back what was open."""
