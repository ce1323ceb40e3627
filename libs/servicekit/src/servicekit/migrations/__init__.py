"""Migrations, and functions in force: plain SQL files, applied in one order by one run at a time.

A migration is named `NNNN_name.sql`, or `NNNN_name.pre.sql` (before the new release starts: what the old one survives)
or `NNNN_name.post.sql` (after the old one is gone). Without a suffix it is `pre`. Each is run once, in one transaction,
in the order of the numbers, and never changes afterwards: its checksum is kept in `servicekit.migration`.

A function has a file of its own, with its types, settings and rights, and is applied again whenever the file
changed, behind the migrations: its checksum is kept in `servicekit.function_in_force`. `-- needs: one, another` names
the files that go before. So no migration may call a function of such a file.

Both name the app's role as `:"app_role"`, as in psql, and the one that the API reads as as `:"reader_role"`.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from importlib import resources
from typing import Final, NamedTuple

import asyncpg

from servicekit.migrations.files import (
    APP_ROLE,
    READER_ROLE,
    Migration,
    MigrationError,
    MigrationSource,
    Phase,
    Roles,
    SqlFunction,
    for_roles,
    read_functions,
    read_source,
)
from servicekit.migrations.functions import apply_functions, pending_functions
from servicekit.postgres import Connection, connect, transaction

__all__ = [
    "APP_ROLE",
    "READER_ROLE",
    "Migration",
    "MigrationError",
    "MigrationSource",
    "Phase",
    "Roles",
    "SqlFunction",
    "for_roles",
    "migrate",
    "pending",
    "read_functions",
    "read_source",
    "servicekit_source",
]

LOCK_KEY: Final = 0x5EC4_17D8_0000_0001
"""One migration run at a time per database; advisory locks are per database."""
LOCK_WAIT: Final = "60s"  # for the run of another instance to end
SESSION: Final = {
    "lock_timeout": "4s",  # a migration that cannot get its lock gives way to the traffic it would block
    "statement_timeout": "60s",
    "transaction_timeout": "120s",
}
COMMAND_TIMEOUT_S: Final = 150.0

_RECORDS: Final = """
    create schema if not exists servicekit;
    create table if not exists servicekit.migration (
        source text collate "C" not null,
        number integer not null,
        name text collate "C" not null,
        sha256 text collate "C" not null,
        applied_at timestamptz not null default clock_timestamp(),
        constraint migration_pk primary key (source, number)
    );
    create table if not exists servicekit.function_in_force (
        source text collate "C" not null,
        name text collate "C" not null,
        sha256 text collate "C" not null,
        applied_at timestamptz not null default clock_timestamp(),
        constraint function_in_force_pk primary key (source, name)
    );
"""

_EXEMPT: Final = "select rolname, rolsuper or rolbypassrls as is_exempt from pg_roles where rolname = any ($1)"


class _Applied(NamedTuple):
    name: str
    sha256: str


def servicekit_source() -> MigrationSource:
    """Return servicekit's own tables (relay cursors, checkpoints …): first among the sources of every service."""
    return MigrationSource("servicekit", resources.files("servicekit") / "sql")


async def migrate(
    owner_dsn: str,
    sources: Sequence[MigrationSource],
    *,
    app_role: str,
    reader_role: str | None = None,
    phase: Phase = Phase.ALL,
) -> list[Migration | SqlFunction]:
    """Apply what is pending, the migrations source by source in the order given, then the functions; return them.

    Any number of processes may call it at once: they take turns. A release that lacks migrations which the database has
    is the older of two, and leaves the functions to the newer one. Raises MigrationError if a file changed after it was
    applied, where the database was made before the baseline, where a function's signature was changed in place, or
    where row-level security does not bind *reader_role* or does not exempt *app_role*; and driver errors (the failing
    file is rolled back and named in a note).
    """
    files, functions = _read(sources)
    roles = Roles(app_role, reader_role)
    connection = await connect(
        owner_dsn, application_name="migrate", command_timeout_s=COMMAND_TIMEOUT_S, session=SESSION
    )
    try:
        await _take_turn(connection)
        await _check_roles(connection, roles)
        if not await _has_records(connection):
            await connection.execute(_RECORDS)
        applied = await _applied(connection)
        is_older = _check(files, applied)
        wanted = _pending(files, applied, phase)
        for migration in wanted:
            await _apply(connection, migration, roles)
        renewed = [] if is_older else await apply_functions(connection, functions, roles=roles)
        return [*wanted, *renewed]
    finally:
        await connection.close()


async def pending(
    owner_dsn: str, sources: Sequence[MigrationSource], *, phase: Phase = Phase.ALL
) -> list[Migration | SqlFunction]:
    """Return what `migrate` would apply, in its order, and change nothing; raises MigrationError and driver errors."""
    files, functions = _read(sources)
    connection = await connect(
        owner_dsn, application_name="migrate", command_timeout_s=COMMAND_TIMEOUT_S, session=SESSION
    )
    try:
        if not await _has_records(connection):
            return [*_pending(files, {}, phase), *functions]
        applied = await _applied(connection)
        if _check(files, applied):
            return [*_pending(files, applied, phase)]
        renewed = [function async for function, _ in pending_functions(connection, functions)]
        return [*_pending(files, applied, phase), *renewed]
    finally:
        await connection.close()


def _read(sources: Sequence[MigrationSource]) -> tuple[list[Migration], list[SqlFunction]]:
    files = [migration for source in sources for migration in read_source(source)]
    return files, [function for source in sources for function in read_functions(source)]


def _pending(files: Iterable[Migration], applied: Container[tuple[str, int]], phase: Phase) -> list[Migration]:
    return [
        file
        for file in files
        if (file.source, file.number) not in applied and (phase is Phase.ALL or file.phase is phase)
    ]


async def _take_turn(connection: Connection) -> None:
    await connection.execute(f"set lock_timeout = '{LOCK_WAIT}'")
    await connection.execute("select pg_advisory_lock($1)", LOCK_KEY)  # held until the session ends
    await connection.execute(f"set lock_timeout = '{SESSION['lock_timeout']}'")


async def _check_roles(connection: Connection, roles: Roles) -> None:
    """Raise MigrationError unless row-level security binds the reader and exempts the app; without a reader both may.

    The app role sees nothing at all, and cannot COPY, where it is not exempt: better said here than found later.
    """
    if roles.reader is None:
        return
    rows = await connection.fetch(_EXEMPT, [roles.app, roles.reader])
    is_exempt = {row["rolname"]: row["is_exempt"] for row in rows}
    if is_exempt.get(roles.reader) is not False:
        raise MigrationError(
            f"there must be a role {roles.reader} that row-level security binds: as a superuser,"
            f" `create role {roles.reader} login nobypassrls password …` and grant it to connect to the database"
        )
    if is_exempt.get(roles.app) is not True:
        raise MigrationError(f"row-level security must exempt the role {roles.app}: `alter role {roles.app} bypassrls`")


async def _has_records(connection: Connection) -> bool:
    return await connection.fetchval("select to_regclass('servicekit.migration')") is not None


async def _applied(connection: Connection) -> dict[tuple[str, int], _Applied]:
    rows = await connection.fetch("select source, number, name, sha256 from servicekit.migration order by 1, 2")
    return {(row["source"], row["number"]): _Applied(row["name"], row["sha256"]) for row in rows}


def _check(files: Iterable[Migration], applied: Mapping[tuple[str, int], _Applied]) -> bool:
    """Return whether the database has migrations of a later release.

    Raises MigrationError if a recorded file changed or went missing among those of this release.
    """
    present = {(file.source, file.number): file for file in files}
    newest: dict[str, int] = {}
    for source, number in present:
        newest[source] = max(number, newest.get(source, 0))
    for key, recorded in applied.items():
        file = present.get(key)
        if file is not None and file.name != recorded.name:
            raise MigrationError(
                f"this database was made by an earlier schema ({key[0]}/{key[1]:04d}_{recorded.name} where {file} is"
                " now), from which nothing leads here: begin with an empty one, on the local stack by `make clean`"
            )
        if file is not None and file.sha256 != recorded.sha256:
            raise MigrationError(f"{file} was changed after it was applied: add a new migration instead")
        # Numbers beyond the newest belong to a later release: an older one may run beside it.
        if file is None and key[1] < newest.get(key[0], 0):
            raise MigrationError(f"{key[0]}/{key[1]:04d} was applied, but its file is gone")
    return any(number > newest.get(source, number) for source, number in applied)


async def _apply(connection: Connection, migration: Migration, roles: Roles) -> None:
    try:
        async with transaction(connection):
            await connection.execute(for_roles(migration.sql, roles))
            await connection.execute(
                "insert into servicekit.migration (source, number, name, sha256) values ($1, $2, $3, $4)",
                migration.source,
                migration.number,
                migration.name,
                migration.sha256,
            )
    except asyncpg.PostgresError as error:
        error.add_note(f"in migration {migration}")
        raise
