"""A bug that a run is to have, so that the checker itself is tried: where it goes, and what must catch it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from testkit.databases import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE_S = 8.0
Databases = Mapping[str, Database]
"""By service."""
Prepare = Callable[[Databases], AbstractAsyncContextManager[None]]
"""Plants in the databases of a run before its processes start; takes back what would outlast it."""


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A planted bug: *parts* names what goes into which process, *prepare* plants in the databases.

    Each check of *caught_by* must break, those *besides* may, and no other. *patience_s* is how long a command or the
    drain is waited for: what a bug has lost never comes.
    """

    caught_by: frozenset[str]
    besides: frozenset[str] = frozenset()
    parts: Mapping[str, str] = field(default_factory=dict)
    prepare: Prepare = lambda _: nullcontext()
    patience_s: float = PATIENCE_S


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A change in the text of a function of the wallet's database."""

    function: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Makes *rewrites*, one after another, in the run's own database alone: see `Plant.prepare`."""

    rewrites: Sequence[Rewrite]

    @asynccontextmanager
    async def __call__(self, databases: Databases) -> "AsyncIterator[None]":
        """Rewrite the functions, and run the body."""
        async with admin(databases["wallet"]) as connection:
            for rewrite in self.rewrites:
                await _rewrite(connection, rewrite)
        yield


def rewritten(*rewrites: Rewrite) -> Prepare:
    """Return what rewrites functions, in the run's own database alone."""
    return Rewriting(rewrites)


def altered(statement: str) -> Prepare:
    """Return what alters the schema of the run's own wallet database."""

    @asynccontextmanager
    async def prepare(databases: Databases) -> "AsyncIterator[None]":
        async with admin(databases["wallet"]) as connection:
            await connection.execute(statement)
        yield

    return prepare


@asynccontextmanager
async def admin(database: Database) -> "AsyncIterator[asyncpg.Connection]":
    """Give a superuser's connection."""
    connection = await asyncpg.connect(database.dsn_admin)
    try:
        yield connection
    finally:
        await connection.close()


async def _rewrite(connection: asyncpg.Connection, rewrite: Rewrite) -> None:
    source: str = await connection.fetchval("select pg_get_functiondef($1::regproc)", rewrite.function)
    assert source.count(rewrite.old) == 1, f"{rewrite.function} is not as the plant knows it"
    await connection.execute(source.replace(rewrite.old, rewrite.new))


@asynccontextmanager
async def flushing_late(databases: Databases) -> "AsyncIterator[None]":
    """Have commits acknowledged before they are on disk, by up to ten seconds, until the body ends."""
    async with admin(databases["wallet"]) as connection:
        for database in databases.values():
            await connection.execute(f"alter database {database.name} set synchronous_commit = off")
        await _set_wal_writer(connection, delay="'10s'", flush_after="'1GB'")
    try:
        yield
    finally:
        async with admin(databases["wallet"]) as connection:
            await _set_wal_writer(connection, delay="default", flush_after="default")


async def _set_wal_writer(connection: asyncpg.Connection, *, delay: str, flush_after: str) -> None:
    await connection.execute(f"alter system set wal_writer_delay = {delay}")
    await connection.execute(f"alter system set wal_writer_flush_after = {flush_after}")
    await connection.execute("select pg_reload_conf()")
