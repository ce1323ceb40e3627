"""The ledger's functions in the database, where their language matters."""

import asyncpg
import pytest

from testkit.databases import Database

pytestmark = pytest.mark.integration


async def test_no_function_that_reads_tables_is_in_sql(database: Database) -> None:
    """PostgreSQL 18 crashes where the plan of such a function becomes invalid while it runs; PL/pgSQL keeps it."""
    connection = await asyncpg.connect(database.dsn_admin)
    try:
        rows = await connection.fetch(
            """select p.proname from pg_proc p join pg_language l on l.oid = p.prolang
                where p.pronamespace = 'wallet'::regnamespace and l.lanname = 'sql' and p.provolatile <> 'i'"""
        )
    finally:
        await connection.close()

    assert [row["proname"] for row in rows] == []
