"""A pool whose connections show one tenant at a time, against a real PostgreSQL, on one connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
import pytest

from contracts.ids import new_id
from servicekit.failures import Unavailable
from servicekit.migrations import MigrationSource
from servicekit.postgres import Connection, Pool, PoolSettings, TenantConnection, open_pool, transaction
from servicekit.tenant_pool import ReaderExemptError, TenantPool, open_tenants
from testkit.databases import Database, Server, TemplateDatabase, migrated_template

pytestmark = pytest.mark.integration

MIGRATION: Final = """
    create schema kept;
    create table kept.row (tenant_id uuid not null);
    grant usage on schema kept to :"app_role", :"reader_role";
    grant select, insert on kept.row to :"app_role";
    grant select on kept.row to :"reader_role";
    alter table kept.row enable row level security;
    create policy of_one_tenant on kept.row for select to :"reader_role"
        using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
"""
ALL: Final = "select tenant_id from kept.row"
A, B = new_id(), new_id()


@pytest.fixture
async def template(postgres_server: Server, tmp_path: Path) -> AsyncIterator[TemplateDatabase]:
    (tmp_path / "0001_kept.sql").write_text(MIGRATION)
    made = migrated_template(postgres_server, "kept", [MigrationSource("kept", tmp_path)])
    yield made
    await made.drop()


@pytest.fixture
async def database(template: TemplateDatabase) -> AsyncIterator[Database]:
    """Give a database with a row of each of two tenants."""
    async with template.database() as made:
        app = await asyncpg.connect(made.dsn_app)
        await app.execute(f"insert into kept.row values ('{A}'), ('{B}')")
        await app.close()
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    settings = PoolSettings(dsn=database.dsn_reader, application_name="probe", max_size=1)
    async with await open_pool(settings) as opened:
        yield opened


@pytest.fixture
def tenants(pool: Pool) -> TenantPool:
    return TenantPool(pool)


async def shown(tenants: TenantPool, tenant: UUID) -> list[UUID]:
    """Return whose rows a statement without a predicate shows to *tenant*."""
    async with tenants.reading(tenant) as connection:
        return await fetched(connection)


async def fetched(connection: Connection) -> list[UUID]:
    return [row["tenant_id"] for row in await connection.fetch(ALL)]


async def broken_off(tenants: TenantPool, tenant: UUID, statement: str) -> None:
    """Read in a transaction, run *statement* there, and end with an error whatever comes of it."""
    async with tenants.reading(tenant) as connection, transaction(connection):
        assert await fetched(connection) == [tenant]
        await connection.execute(statement)
        raise ZeroDivisionError


async def test_a_connection_that_is_nobodys_shows_nothing(pool: Pool) -> None:
    async with pool.connection() as connection:
        assert await fetched(connection) == []


async def test_tenants_in_turn_see_their_own(tenants: TenantPool) -> None:
    for _ in range(3):
        assert await shown(tenants, A) == [A]
        assert await shown(tenants, B) == [B]


async def test_the_same_tenant_again_costs_no_round_trip(tenants: TenantPool) -> None:
    sent: list[str] = []

    def note(query: Any) -> None:
        sent.append(query.query)

    async with tenants.reading(A) as connection:
        connection.add_query_logger(note)
    for tenant in (A, A, B, B, A):
        await shown(tenants, tenant)

    assert [query != ALL for query in sent] == [False, False, True, False, False, True, False]


@pytest.mark.parametrize("is_bad", [True, False])
async def test_after_an_error_or_a_rollback_each_sees_its_own(tenants: TenantPool, *, is_bad: bool) -> None:
    assert await shown(tenants, A) == [A]
    with pytest.raises((asyncpg.PostgresError, ZeroDivisionError)):
        await broken_off(tenants, B, "select 1 / 0" if is_bad else "select 1")

    assert await shown(tenants, B) == [B]
    assert await shown(tenants, A) == [A]


async def test_a_transaction_left_open_takes_nothing_back(tenants: TenantPool) -> None:
    async with tenants.reading(B) as connection:
        await connection.transaction().start()
        assert await fetched(connection) == [B]

    assert await shown(tenants, B) == [B]
    assert await shown(tenants, A) == [A]


@pytest.mark.parametrize("is_done", [True, False])
async def test_where_setting_fails_nothing_is_believed(
    tenants: TenantPool, monkeypatch: pytest.MonkeyPatch, *, is_done: bool
) -> None:
    """Whether it had been done by then or not: who comes next has it set anew."""
    assert await shown(tenants, A) == [A]
    fetchval = TenantConnection.fetchval

    async def failing(self: TenantConnection, query: str, *arguments: Any) -> Any:
        if is_done:
            await fetchval(self, query, *arguments)
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(TenantConnection, "fetchval", failing)
        with pytest.raises(Unavailable):
            await shown(tenants, B)

    assert await shown(tenants, A) == [A]
    assert await shown(tenants, B) == [B]


async def test_a_caller_that_gives_up_while_it_is_set_leaves_it_unknown(
    tenants: TenantPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await shown(tenants, A) == [A]
    fetchval, done = TenantConnection.fetchval, asyncio.Event()

    async def slow(self: TenantConnection, query: str, *arguments: Any) -> Any:
        await fetchval(self, query, *arguments)
        done.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(TenantConnection, "fetchval", slow)
        asking = asyncio.create_task(shown(tenants, B))
        await done.wait()
        asking.cancel()
        await asyncio.wait([asking])

    assert await shown(tenants, A) == [A]


async def test_a_session_that_is_reset_is_nobodys(tenants: TenantPool) -> None:
    async with tenants.reading(A) as connection:
        await connection.reset()
        assert await fetched(connection) == []

    assert await shown(tenants, A) == [A]


async def test_another_session_in_its_place_is_set_too(tenants: TenantPool, database: Database) -> None:
    admin = await asyncpg.connect(database.dsn_admin)

    async def ended() -> None:
        async with tenants.reading(A) as connection:
            await admin.execute(f"select pg_terminate_backend({connection.get_server_pid()}, 5000)")
            await fetched(connection)

    with pytest.raises(Unavailable):
        await ended()
    await admin.close()

    assert await shown(tenants, A) == [A]


async def test_a_tenant_is_not_set_inside_a_transaction(pool: Pool) -> None:
    async with pool.transaction() as tx:
        with pytest.raises(AssertionError):
            await cast("TenantConnection", tx.connection).show_tenant(A)


async def test_many_at_once_see_their_own(database: Database) -> None:
    settings = PoolSettings(dsn=database.dsn_reader, application_name="probe", max_size=3, acquire_timeout_s=30.0)
    async with await open_pool(settings) as opened:
        tenants = TenantPool(opened)
        found = await asyncio.gather(*(shown(tenants, tenant) for tenant in (A, B, new_id()) * 40))

    assert found == [[A], [B], []] * 40


async def test_a_reader_cannot_write(tenants: TenantPool) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenants.reading(A) as connection:
            await connection.execute(f"insert into kept.row values ('{A}')")


async def test_an_exempt_role_does_not_read_for_tenants(pool: Pool, database: Database) -> None:
    assert await shown(await open_tenants(pool), A) == [A]
    for dsn in (database.dsn_app, database.dsn_admin):
        async with await open_pool(PoolSettings(dsn=dsn, application_name="probe")) as exempt:
            with pytest.raises(ReaderExemptError):
                await open_tenants(exempt)
