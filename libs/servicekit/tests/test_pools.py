"""Pools against a real PostgreSQL: deadlines, session bounds, and failures told by name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from engines.ports import LOOPBACK
from servicekit.failures import Failure, PoolExhausted, Unavailable
from servicekit.postgres import (
    Connection,
    Pool,
    PoolSettings,
    Transaction,
    connect,
    name_sessions,
    open_pool,
    transaction,
)
from servicekit.telemetry.metrics import Pools
from testkit.databases import Server
from testkit.proxy import Proxy

pytestmark = pytest.mark.integration


@pytest.fixture
def dsn(postgres_server: Server) -> str:
    return postgres_server.admin_dsn


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    async with await open_pool(
        PoolSettings(dsn=dsn, application_name="probe", max_size=1, acquire_timeout_s=0.05)
    ) as pool:
        yield pool


async def test_every_session_is_bounded(pool: Pool) -> None:
    async with pool.connection() as connection:
        shown = [
            await connection.fetchval(f"show {name}")
            for name in ("idle_in_transaction_session_timeout", "transaction_timeout", "lock_timeout")
        ]
        name = await connection.fetchval("show application_name")

    assert (shown, name) == (["5s", "15s", "5s"], "probe")


@pytest.mark.parametrize(("name", "called"), [("probe", "probe@1f0c"), ("p" * 70, "p" * 58 + "@1f0c")])
async def test_sessions_are_called_by_the_release_where_there_is_one(dsn: str, name: str, called: str) -> None:
    name_sessions("1f0c")
    try:
        connection = await connect(dsn, application_name=name)
        shown = await connection.fetchval("show application_name")
        await connection.close()
    finally:
        name_sessions("")

    assert shown == called


async def test_a_dedicated_connection_is_bounded_too(dsn: str) -> None:
    connection = await connect(dsn, application_name="probe", session={"lock_timeout": "1s"})

    assert await connection.fetchval("show transaction_timeout") == "15s"
    assert await connection.fetchval("show lock_timeout") == "1s"
    await connection.close()


async def test_a_busy_pool_turns_callers_away(pool: Pool) -> None:
    async with pool.connection():
        assert pool.busy == 1
        with pytest.raises(PoolExhausted):
            async with pool.connection():
                pass

    async with pool.connection() as connection:
        assert await connection.fetchval("select 1") == 1
    registry = CollectorRegistry()
    Pools(registry).watch("reads", pool)
    value, labels = registry.get_sample_value, {"pool": "reads"}
    assert value("db_pool_acquire_failures_total", {**labels, "reason": "exhausted"}) == 1
    assert value("db_pool_acquire_failures_total", {**labels, "reason": "unreachable"}) == 0
    assert (value("db_pool_acquire_seconds_count", labels), value("db_pool_connections_max", labels)) == (2, 1)


async def insert_and_fail(connection: Connection) -> None:
    async with transaction(connection) as opened:
        await opened.connection.execute("insert into probe values (2)")
        await opened.connection.execute("select 1/0")


async def test_a_transaction_commits_or_rolls_back(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute("create temp table probe (n int)")
        async with transaction(connection) as opened:
            await opened.connection.execute("insert into probe values (1)")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await insert_and_fail(connection)

        assert await connection.fetchval("select array_agg(n) from probe") == [1]


async def test_only_an_open_transaction_makes_the_proof(pool: Pool) -> None:
    async with pool.connection() as connection:
        with pytest.raises(AssertionError):
            Transaction(connection)


async def lose_its_backend(pool: Pool, admin: Connection) -> None:
    async with pool.transaction() as opened:
        pid = await opened.connection.fetchval("select pg_backend_pid()")
        await admin.execute("select pg_terminate_backend($1, 5000)", pid)
        await opened.connection.execute("select 1")


async def test_a_lost_connection_is_unavailable_and_replaced(pool: Pool, dsn: str) -> None:
    admin = await connect(dsn, application_name="admin")

    with pytest.raises(Unavailable) as lost:
        await lose_its_backend(pool, admin)

    assert lost.value.failure is Failure.CONNECTION_LOST
    async with pool.connection() as connection:
        assert await connection.fetchval("select 1") == 1
    await admin.close()


@asynccontextmanager
async def through_a_network(dsn: str, *, command_timeout_s: float) -> AsyncIterator[tuple[Proxy, Pool]]:
    """Yield a pool with two idle connections, and the network that they go through."""
    address = urlsplit(dsn)
    proxy = Proxy(address.port or 0, address.hostname or "")
    async with proxy.listening():
        settings = PoolSettings(
            dsn=urlunsplit(address._replace(netloc=f"{address.username}:{address.password}@{LOOPBACK}:{proxy.port}")),
            application_name="probe",
            max_size=2,
            command_timeout_s=command_timeout_s,
        )
        async with await open_pool(settings) as pool:
            async with pool.connection(), pool.connection():
                assert pool.busy == 2
            yield proxy, pool


async def ask(pool: Pool) -> object:
    async with pool.connection() as connection:
        return await connection.fetchval("select 1")


async def test_what_was_idle_beside_a_half_open_connection_is_not_lent_again(dsn: str) -> None:
    async with through_a_network(dsn, command_timeout_s=0.2) as (proxy, pool):
        proxy.cut()

        with pytest.raises(Unavailable):
            await ask(pool)

        assert await ask(pool) == 1


async def test_a_connection_that_cannot_be_given_back_costs_the_idle_ones_too(dsn: str) -> None:
    async with through_a_network(dsn, command_timeout_s=20.0) as (proxy, pool):
        proxy.cut()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(pool), 0.05)

        assert await ask(pool) == 1


async def test_a_driver_lost_in_an_exchange_is_unavailable(pool: Pool) -> None:
    with pytest.raises(Unavailable) as lost:
        async with pool.connection():
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    assert lost.value.failure is Failure.CONNECTION_LOST


async def test_a_lock_that_stays_taken_is_worth_a_retry(dsn: str) -> None:
    admin = await connect(dsn, application_name="admin")
    await admin.execute("select pg_advisory_lock(4242)")
    settings = PoolSettings(dsn=dsn, application_name="probe", session={"lock_timeout": "20ms"})

    async with await open_pool(settings) as pool:
        with pytest.raises(Unavailable) as refused:
            async with pool.transaction() as opened:
                await opened.connection.execute("select pg_advisory_xact_lock(4242)")

    assert refused.value.failure is Failure.RETRY
    await admin.close()


async def test_a_constraint_passes_as_it_is(pool: Pool) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with pool.connection() as connection:
            await connection.execute("select 1/0")


async def test_a_database_that_is_away_is_unavailable() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    with pytest.raises(Unavailable):
        await open_pool(PoolSettings(dsn=f"postgresql://a:b@127.0.0.1:{port}/c", application_name="probe"))
