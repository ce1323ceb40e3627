"""What a run of migrations does to those who write meanwhile: tables rewritten, and writers kept out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import asyncpg

_TABLES: Final = """
    select c.oid::regclass::text as name, c.relfilenode as file
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') order by 1
"""
TIMEOUT_S: Final = 60.0


async def disturbed(dsn: str, migrate: Callable[[], Awaitable[object]], *, kept_out_ms_max: int) -> list[str]:
    """Run *migrate* while every table of the database at *dsn* is written to as its owner; return what was disturbed.

    A writer takes the lock of one that deletes rows, and none of them: it says nothing about how many there are.
    """
    connection = await asyncpg.connect(dsn, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
    try:
        before = await _files(connection)
        kept_out: list[str] = []
        await connection.execute(f"set lock_timeout = '{kept_out_ms_max}ms'")
        migrating = asyncio.ensure_future(migrate())
        while not migrating.done():
            for table in before:
                with suppress(asyncpg.UndefinedTableError):
                    await _write(connection, table, kept_out)
            await asyncio.sleep(0)
        await migrating
        after = await _files(connection)
    finally:
        await connection.close()
    rewritten = [f"{table} was rewritten" for table, file in before.items() if after.get(table, file) != file]
    return rewritten + sorted(set(kept_out))


async def _write(connection: asyncpg.Connection, table: str, kept_out: list[str]) -> None:
    try:
        await connection.execute(f"delete from {table} where false")
    except asyncpg.LockNotAvailableError:
        kept_out.append(f"writers of {table} were kept out")


async def _files(connection: asyncpg.Connection) -> Mapping[str, int]:
    return {row["name"]: row["file"] for row in await connection.fetch(_TABLES)}
