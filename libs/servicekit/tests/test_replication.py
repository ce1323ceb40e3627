"""The barrier against a real server: it waits for a synchronous standby, and a wait cut short is an unknown outcome."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from engines.postgres import PostgresServer
from servicekit.failures import Failure, Unavailable, classify
from servicekit.postgres import DRIVER_ERRORS
from servicekit.replication import pass_barrier, waits_for_standby
from testkit.standby import name_standbys
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def admin(own_postgres: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_postgres.admin_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def session(own_postgres: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_postgres.admin_dsn)
    yield connection
    connection.terminate()


async def until_it_waits(admin: asyncpg.Connection, pid: int) -> None:
    async def waits() -> bool:
        event = await admin.fetchval("select wait_event from pg_stat_activity where pid = $1", pid)
        return bool(event == "SyncRep")

    await eventually(waits)


async def test_without_a_standby_the_barrier_is_passed_at_once(session: asyncpg.Connection) -> None:
    await pass_barrier(session)

    assert not await waits_for_standby(session)


@pytest.mark.parametrize("cut_short_by", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_wait_that_is_cut_short_is_an_unknown_outcome(
    admin: asyncpg.Connection, session: asyncpg.Connection, cut_short_by: str
) -> None:
    await name_standbys(admin, "absent")
    pid = session.get_server_pid()
    passing = asyncio.create_task(pass_barrier(session))
    await until_it_waits(admin, pid)
    assert await waits_for_standby(admin)

    await admin.execute(f"select {cut_short_by}($1)", pid)

    with pytest.raises((Unavailable, *DRIVER_ERRORS)) as raised:
        await passing
    assert classify(raised.value) is Failure.CONNECTION_LOST


async def test_the_barrier_is_passed_once_the_standby_is_not_waited_for(
    admin: asyncpg.Connection, session: asyncpg.Connection
) -> None:
    await name_standbys(admin, "absent")
    passing = asyncio.create_task(pass_barrier(session))
    await until_it_waits(admin, session.get_server_pid())

    await name_standbys(admin, "")

    await passing
