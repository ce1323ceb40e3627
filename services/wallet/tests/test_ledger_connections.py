"""The ledger's connections: one per batch under way, and none kept that may be as lost as another."""

import asyncio

import asyncpg
import pytest

from testkit.databases import Database
from testkit.waiting import eventually
from wallet.adapters.ledger_postgres import Connection, PostgresLedger

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


async def test_no_batch_overtakes_one_that_waits_for_its_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = PostgresLedger(database.dsn_app)
    connect, may_connect, given = ledger._connect, asyncio.Event(), []

    async def connect_late() -> Connection:
        await may_connect.wait()
        return await connect()

    async def take(name: str) -> None:
        async with ledger._connected():
            given.append(name)

    try:
        async with ledger._connected():
            monkeypatch.setattr(ledger, "_connect", connect_late)
            first = asyncio.create_task(take("first"))
            await asyncio.sleep(0)
        second = asyncio.create_task(take("second"))  # there is an idle connection by now
        await asyncio.sleep(0)
        may_connect.set()
        await asyncio.gather(first, second)

        assert given == ["first", "second"]
    finally:
        await ledger.close()
