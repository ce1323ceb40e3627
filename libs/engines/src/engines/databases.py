"""One database per service, with roles: one owns and migrates it, one serves from it, one reads for its API.

Row-level security binds the reader alone, whose connections see the rows of one tenant; the app role bypasses it.

Grants on what is inside a database are the business of the service's own migrations.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg

OBSERVER: Final = "observer"
"""The role that sees what a server does, and none of what is in its tables."""
DASHBOARDS: Final = "dashboards"
"""The role of operators' dashboards: what it may read, services' migrations say."""


def owner_role(service: str) -> str:
    """Return the role that migrates the service's database."""
    return f"{service}_owner"


def app_role(service: str) -> str:
    """Return the role that the service's processes use."""
    return f"{service}_app"


def reader_role(service: str) -> str:
    """Return the role that the service's API reads as, for one tenant at a time."""
    return f"{service}_reader"


def service_roles(service: str) -> tuple[str, str, str]:
    """Return every role that the service has: what owns, what serves and what reads."""
    return owner_role(service), app_role(service), reader_role(service)


async def ensure_service_roles(admin: asyncpg.Connection, service: str, passwords: Mapping[str, str]) -> None:
    """Make the roles of `service_roles` able to log in with their *passwords*, whether they exist or not."""
    for role in service_roles(service):
        await ensure_role(admin, role, passwords[role], is_exempt=role == app_role(service))


async def ensure_role(admin: asyncpg.Connection, role: str, password: str, *, is_exempt: bool = False) -> None:
    """Make *role* able to log in with *password*, whether it exists or not; *is_exempt* from row-level security."""
    attributes = f"login {'bypassrls' if is_exempt else 'nobypassrls'}"
    try:
        await _run(admin, f"create role %I {attributes} password %L", role, password)
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        # The second is what the loser of two simultaneous CREATE ROLE gets.
        await _run(admin, f"alter role %I {attributes} password %L", role, password)


async def ensure_outsider(admin: asyncpg.Connection, role: str, password: str, names: Iterable[str]) -> None:
    """Make *role*, no service's own, able to log in with *password* and to enter the databases *names*."""
    await ensure_role(admin, role, password)
    if role == OBSERVER:
        await _run(admin, "grant pg_monitor to %I", role)
    for name in names:
        await _run(admin, "grant connect on database %I to %I", name, role)


async def ensure_database(admin: asyncpg.Connection, database: str, service: str) -> None:
    """Make the service's database unless it is there, closed to every other role."""
    if await admin.fetchval("select 1 from pg_database where datname = $1", database):
        await _open_to_roles(admin, database, service)
    else:
        await create_database(admin, database, service)


async def create_database(
    admin: asyncpg.Connection, database: str, service: str, *, template: str | None = None
) -> None:
    """Make a database that only the service's roles may enter; nobody may be connected to its *template*."""
    # For a test's clone a copy of files takes 40 ms where one through the journal takes 150, on a server that does not
    # fsync. On one that does, the two checkpoints that a copy of files asks for would be real ones.
    source, strategy = ("template1", "wal_log") if template is None else (template, "file_copy")
    await _run(
        admin, "create database %I owner %I template %I strategy %I", database, owner_role(service), source, strategy
    )
    await _run(admin, "revoke all on database %I from public", database)
    await _open_to_roles(admin, database, service)


async def drop_database(admin: asyncpg.Connection, database: str) -> None:
    """Drop the database, ending sessions that are still in it."""
    await _run(admin, "drop database if exists %I with (force)", database)


async def _open_to_roles(admin: asyncpg.Connection, database: str, service: str) -> None:
    await _run(admin, "grant connect on database %I to %I, %I", database, app_role(service), reader_role(service))


async def _run(admin: asyncpg.Connection, statement: str, *values: str) -> None:
    """Execute a statement that takes no parameters, its %I and %L quoted by PostgreSQL itself."""
    await admin.execute(await admin.fetchval("select format($1, variadic $2::text[])", statement, values))
