"""Migrations: plain SQL files, each run once, in one transaction, in the order of their numbers.

A file is named `NNNN_name.sql`, or `NNNN_name.pre.sql` (before the new release starts: what the old one survives) or
`NNNN_name.post.sql` (after the old one is gone). Without a suffix it is `pre`. A file once applied never changes: its
checksum is kept in `servicekit.migration`. Grants name the app role as `:"app_role"`, as in psql.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import Final

import asyncpg

from servicekit.postgres import connect, transaction

LOCK_KEY: Final = 0x5EC4_17D8_0000_0001
"""One migration run at a time per database; advisory locks are per database."""
LOCK_WAIT: Final = "60s"  # for the run of another instance to end
SESSION: Final = {
    "lock_timeout": "4s",  # a migration that cannot get its lock gives way to the traffic it would block
    "statement_timeout": "60s",
    "transaction_timeout": "120s",
}
COMMAND_TIMEOUT_S: Final = 150.0

_FILE_NAME = re.compile(r"(?P<number>[0-9]{4})_(?P<name>[a-z0-9_]+)(?:\.(?P<phase>pre|post))?\.sql", re.ASCII)
_APP_ROLE = ':"app_role"'
_LEDGER: Final = """
    CREATE SCHEMA IF NOT EXISTS servicekit;
    CREATE TABLE IF NOT EXISTS servicekit.migration (
        source text COLLATE "C" NOT NULL,
        number integer NOT NULL,
        name text COLLATE "C" NOT NULL,
        sha256 text COLLATE "C" NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT migration_pk PRIMARY KEY (source, number)
    );
"""


class Phase(Enum):
    """Which files a run applies: those before a release, those after it, or all of them by number."""

    PRE = "pre"
    POST = "post"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """A folder of migrations and the name it is recorded under."""

    name: str
    folder: Traversable


@dataclass(frozen=True, slots=True)
class Migration:
    """One file, read."""

    source: str
    number: int
    name: str
    phase: Phase
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum that must never change once the file is applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.source}/{self.number:04d}_{self.name}"


class MigrationError(Exception):
    """The files and the database disagree, or a file cannot be read; nothing more was applied."""


def servicekit_source() -> MigrationSource:
    """Return servicekit's own tables (relay cursors, checkpoints …): first among the sources of every service."""
    return MigrationSource("servicekit", resources.files("servicekit") / "sql")


async def migrate(
    owner_dsn: str, sources: Sequence[MigrationSource], *, app_role: str, phase: Phase = Phase.ALL
) -> list[Migration]:
    """Apply what is pending, source by source in the order given; return what was applied.

    Any number of processes may call it at once: they take turns. Raises MigrationError where a file changed after it
    was applied, and driver errors (the failing file is rolled back and named in a note).
    """
    files = [migration for source in sources for migration in read_source(source)]
    connection = await connect(
        owner_dsn, application_name="migrate", command_timeout_s=COMMAND_TIMEOUT_S, session=SESSION
    )
    try:
        await _take_turn(connection)
        applied = await _applied(connection)
        _check(files, applied)
        pending = [file for file in files if (file.source, file.number) not in applied and _runs_in(file, phase)]
        for migration in pending:
            await _apply(connection, migration, app_role)
        return pending
    finally:
        await connection.close()


def read_source(source: MigrationSource) -> list[Migration]:
    """Return the source's migrations by number; raise MigrationError on a stray name or a number used twice."""
    migrations = [_read(source.name, file) for file in source.folder.iterdir() if file.name.endswith(".sql")]
    migrations.sort(key=lambda migration: migration.number)
    for before, after in pairwise(migrations):
        if before.number == after.number:
            raise MigrationError(f"{before} and {after} have the same number")
    return migrations


def _read(source: str, file: Traversable) -> Migration:
    match = _FILE_NAME.fullmatch(file.name)
    if match is None:
        raise MigrationError(f"{source}: {file.name} is not named NNNN_name.sql, .pre.sql or .post.sql")
    phase = Phase(match["phase"] or "pre")
    return Migration(source, int(match["number"]), match["name"], phase, file.read_text(encoding="utf-8"))


def _runs_in(migration: Migration, phase: Phase) -> bool:
    return phase is Phase.ALL or migration.phase is phase


async def _take_turn(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)  # held until the session ends
    await connection.execute(f"SET lock_timeout = '{SESSION['lock_timeout']}'")


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[tuple[str, int], str]:
    if await connection.fetchval("SELECT to_regclass('servicekit.migration')") is None:
        await connection.execute(_LEDGER)
    rows = await connection.fetch("SELECT source, number, sha256 FROM servicekit.migration")
    return {(row["source"], row["number"]): row["sha256"] for row in rows}


def _check(files: Iterable[Migration], applied: dict[tuple[str, int], str]) -> None:
    """Raise MigrationError where a recorded file changed or went missing among those of this release."""
    present = {(file.source, file.number): file for file in files}
    newest: dict[str, int] = {}
    for source, number in present:
        newest[source] = max(number, newest.get(source, 0))
    for key, sha256 in applied.items():
        file = present.get(key)
        if file is not None and file.sha256 != sha256:
            raise MigrationError(f"{file} was changed after it was applied: add a new migration instead")
        # Numbers beyond the newest belong to a later release: an older one may run beside it.
        if file is None and key[1] < newest.get(key[0], 0):
            raise MigrationError(f"{key[0]}/{key[1]:04d} was applied, but its file is gone")


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration, app_role: str) -> None:
    quoted_role = '"' + app_role.replace('"', '""') + '"'
    try:
        async with transaction(connection):
            await connection.execute(migration.sql.replace(_APP_ROLE, quoted_role))
            await connection.execute(
                "INSERT INTO servicekit.migration (source, number, name, sha256) VALUES ($1, $2, $3, $4)",
                migration.source,
                migration.number,
                migration.name,
                migration.sha256,
            )
    except asyncpg.PostgresError as error:
        error.add_note(f"in migration {migration}")
        raise
