"""Who is connected to a service's database, by the release that stands behind the names of sessions."""

import asyncpg

from engines.databases import service_roles
from local_stack.processes import Database
from local_stack.services import Service

_SESSIONS = """
    select application_name from pg_stat_activity
     where datname = current_database() and usename = any ($1) and pid <> pg_backend_pid()
"""
TIMEOUT_S = 10.0


async def of_other_releases(service: Service, database: Database, release: str) -> list[str]:
    """Return the names of the sessions of *service*'s processes that are not of *release*; one without it is old."""
    _, app, reader = service_roles(service.name)
    connection = await asyncpg.connect(database.owner, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
    try:
        rows = await connection.fetch(_SESSIONS, [app, reader])
    finally:
        await connection.close()
    names = [str(row["application_name"]) for row in rows]
    return [name for name in names if not name.endswith(f"@{release}")]
