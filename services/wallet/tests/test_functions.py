"""The ledger's functions in the database, where their language and their settings matter."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from testkit.databases import Database

pytestmark = pytest.mark.integration


@pytest.fixture
async def connection(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn_admin)
    yield connection
    await connection.close()


async def test_no_function_that_reads_tables_is_in_sql(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """PostgreSQL 18 crashes where the plan of such a function becomes invalid while it runs; PL/pgSQL keeps it."""
    rows = await connection.fetch(
        """select p.proname from pg_proc p join pg_language l on l.oid = p.prolang
            where p.pronamespace = 'wallet'::regnamespace and l.lanname = 'sql' and p.provolatile <> 'i'"""
    )

    assert [row["proname"] for row in rows] == []


async def test_what_a_batch_calls_keeps_its_plans(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Planning every statement anew costs a small batch more than carrying it out."""
    rows = await connection.fetch(
        """select p.proname from pg_proc p
            where p.pronamespace = 'wallet'::regnamespace and 'plan_cache_mode=force_generic_plan' = any(p.proconfig)"""
    )

    called = {"read_rows", "lock_rows", "write_rows", "commit_rows"}
    assert {row["proname"] for row in rows} == called | {f"{name}_2" for name in called}
