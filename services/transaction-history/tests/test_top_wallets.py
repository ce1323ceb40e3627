"""What operators' dashboards see of wallets, and that they see nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from contracts import canary
from engines import databases
from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.access import TENANT
from testkit.databases import PASSWORD, Database, Server, TemplateDatabase, migrated_template
from transaction_history import bootstrap
from transaction_history.dashboard import answers_postgres
from transaction_history.domain.dashboard import (
    Dashboard,
    DashboardAsked,
    Question,
    Ranked,
    Told,
    TopAsked,
    TopWallet,
    TopWallets,
    Window,
)

pytestmark = pytest.mark.integration

OTHER = UUID("00000000-0000-7000-8000-000000000002")
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
READABLE = """
    select n.nspname || '.' || c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
      and c.relkind in ('r', 'p', 'v', 'm', 'f')
      and (has_any_column_privilege('dashboards', c.oid, 'select, insert, update, references')
           or has_table_privilege('dashboards', c.oid, 'delete, truncate, trigger, maintain'))"""
MAKES = "select nspname from pg_namespace where has_schema_privilege('dashboards', oid, 'create')"
IS_BOUND = """
    select not (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
           and not exists (select from pg_auth_members where member = pg_roles.oid)
    from pg_roles where rolname = 'dashboards'"""


@pytest.fixture(scope="module")
def template(postgres_server: Server) -> Iterator[TemplateDatabase]:
    """Give what makes databases that were migrated where operators have dashboards."""
    role = databases.DASHBOARDS

    async def as_admin(work: Callable[[asyncpg.Connection], Awaitable[object]]) -> None:
        admin = await asyncpg.connect(postgres_server.admin_dsn)
        await work(admin)
        await admin.close()

    asyncio.run(as_admin(lambda admin: databases.ensure_outsider(admin, role, PASSWORD, [])))
    made = migrated_template(postgres_server, "transaction_history", bootstrap.migration_sources())
    yield made
    asyncio.run(made.drop())
    asyncio.run(as_admin(lambda admin: admin.execute(f"drop role {role}")))


@pytest.fixture
async def database(template: TemplateDatabase, postgres_server: Server) -> AsyncIterator[Database]:
    async with template.database() as made:
        admin = await asyncpg.connect(postgres_server.admin_dsn)
        await databases.ensure_outsider(admin, databases.DASHBOARDS, PASSWORD, [made.name])
        await admin.close()
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened


@pytest.fixture
async def dashboards(database: Database, postgres_server: Server) -> AsyncIterator[asyncpg.Connection]:
    """Give the dashboards' own connection."""
    connection = await asyncpg.connect(postgres_server.dsn(database.name, databases.DASHBOARDS, PASSWORD))
    yield connection
    await connection.close()


def wallet(number: int, entries: int) -> TopWallet:
    return TopWallet(
        wallet_id=UUID(int=number),
        owner_id="ann",
        currency="USD",
        entries=entries,
        credits_minor=2**62,
        debits_minor=5,
        posted_minor=-1,
    )


def told(at: datetime = AT) -> Told:
    return Told(as_of=at, complete_until=None, parked_count=0, parked_ids=[], counted_from=at, is_complete=True)


async def keep(pool: Pool, tenant_id: UUID, asked: Question, answer: Dashboard | TopWallets) -> None:
    async with pool.transaction() as tx:
        taken = await answers_postgres.take(tx, tenant_id, asked)
        assert taken is not None
        await answers_postgres.store(tx.connection, taken, answer, took_ms=1)


async def test_wallets_of_every_tenant_are_seen_with_whose_they_are_and_without_their_owners(
    pool: Pool, dashboards: asyncpg.Connection
) -> None:
    asked = TopAsked(Ranked.VOLUME, Window.DAY, None)
    await keep(pool, TENANT, asked, TopWallets(told=told(), wallets=[wallet(1, 7), wallet(2, 9)]))
    await keep(pool, OTHER, asked, TopWallets(told=told(), wallets=[wallet(3, 1)]))

    rows = await dashboards.fetch("select * from history_jobs.top_wallets order by tenant_id, rank")

    assert [(row["tenant_id"], row["rank"], row["wallet_id"].int, row["entries"]) for row in rows] == [
        (TENANT, 1, 1, 7),
        (TENANT, 2, 2, 9),
        (OTHER, 1, 3, 1),
    ]
    first = dict(rows[0])
    assert (first["ranked_by"], first["span"], first["currency"], first["as_of"]) == ("volume", "24h", "USD", AT)
    assert (first["credits_minor"], first["debits_minor"], first["posted_minor"]) == (2**62, 5, -1)
    assert "ann" not in str([dict(row) for row in rows])


async def test_a_wallet_that_two_answers_tell_of_is_seen_once_as_it_was_last(
    pool: Pool, dashboards: asyncpg.Connection
) -> None:
    everything = Dashboard(told=told(), minutes=[], volumes=[], currencies=[], active=[wallet(1, 7)])
    newer = TopWallets(told=told(AT.replace(minute=1)), wallets=[wallet(1, 8)])
    await keep(pool, TENANT, DashboardAsked(Window.DAY), everything)
    await keep(pool, TENANT, TopAsked(Ranked.ENTRIES, Window.DAY, None), newer)

    rows = await dashboards.fetch("select span, ranked_by, entries from history_jobs.top_wallets")

    assert [tuple(row) for row in rows] == [("24h", "entries", 8)]


async def test_the_canarys_wallets_are_left_out(pool: Pool, dashboards: asyncpg.Connection) -> None:
    asked = TopAsked(Ranked.ENTRIES, Window.DAY, None)
    for tenant_id, number in ((canary.TENANT_ID, 1), (TENANT, 2)):
        await keep(pool, tenant_id, asked, TopWallets(told=told(), wallets=[wallet(number, 9)]))

    rows = await dashboards.fetch("select wallet_id from history_jobs.top_wallets")

    assert [row["wallet_id"].int for row in rows] == [2]


async def test_a_question_that_is_not_answered_yet_shows_nothing(pool: Pool, dashboards: asyncpg.Connection) -> None:
    async with pool.transaction() as tx:
        await answers_postgres.take(tx, TENANT, DashboardAsked(Window.HOUR))

    assert await dashboards.fetch("select * from history_jobs.top_wallets") == []


async def test_dashboards_may_read_that_and_nothing_else(database: Database, dashboards: asyncpg.Connection) -> None:
    admin = await asyncpg.connect(database.dsn_admin)
    readable = [row[0] for row in await admin.fetch(READABLE)]
    makes, is_bound = await admin.fetch(MAKES), await admin.fetchval(IS_BOUND)
    await admin.close()

    assert (readable, makes, is_bound) == (["history_jobs.top_wallets"], [], True)
    for statement in (
        "select * from history_jobs.cached_answer",
        "select * from transaction_history.entry",
        "create table stolen ()",
        "create temporary table stolen ()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await dashboards.execute(statement)
