"""The ledger's connections: one per batch under way, and none kept that may be as lost as another."""

import asyncpg
import pytest

from testkit.databases import Database
from testkit.waiting import eventually
from wallet.adapters.ledger_postgres import PostgresLedger

pytestmark = pytest.mark.integration


async def test_a_lost_connection_costs_those_that_are_idle(database: Database) -> None:
    ledger = PostgresLedger(database.dsn_app, application_name="here")
    watching = await asyncpg.connect(database.dsn_admin)

    async def are_sessions(count: int) -> bool:
        found = await watching.fetchval("select count(*) from pg_stat_activity where application_name = 'here'")
        return bool(found == count)

    try:
        async with ledger._connected() as one, ledger._connected() as another:
            assert one is not another
        assert await are_sessions(2)

        with pytest.raises(TimeoutError):
            async with ledger._connected():
                raise TimeoutError

        await eventually(lambda: are_sessions(0))
    finally:
        await ledger.close()
        await watching.close()
