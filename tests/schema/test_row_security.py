"""Every table that a reader sees is bound to one tenant or listed, and every read holds without its predicate."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from tests.openapi.services import TARGETS
from tests.openapi.targets import Target
from tests.schema.planting import PlantedPool
from tests.schema.tenant_reads import ROWS, reads_of

from contracts.ids import new_id
from engines.databases import app_role, owner_role, reader_role, service_roles
from servicekit.migrations import MigrationError, migrate
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.tenant_pool import TenantPool
from testkit.databases import Database, Server, migrated_template

pytestmark = pytest.mark.integration

PAGE: Final = Path(__file__).parents[2] / "docs" / "architecture" / "tenants.md"
A, B = new_id(), new_id()

SEEN: Final = """
    select c.oid, c.oid::regclass::text as name, c.relrowsecurity
             and exists (select from pg_policy p where p.polrelid = c.oid and $1::text::regrole = any (p.polroles))
               as is_bound
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema')
       and n.nspname !~ '^pg_toast' and has_schema_privilege($1, n.oid, 'usage')
       and has_any_column_privilege($1, c.oid, 'select')
     order by 2"""
"""What the reader may select from, or some columns of it, and whether row-level security binds it there."""
WRITABLE: Final = """
    select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'S') and n.nspname not in ('pg_catalog', 'information_schema')
       and n.nspname !~ '^pg_toast'
       and (c.relkind <> 'S' and (has_any_column_privilege($1, c.oid, 'insert, update')
                                  or has_table_privilege($1, c.oid, 'delete, truncate'))
            or c.relkind = 'S' and has_sequence_privilege($1, c.oid, 'usage, update'))"""
RUNS_AS_ANOTHER: Final = """
    select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema')
       and has_function_privilege($1, p.oid, 'execute')"""


@pytest.fixture(params=TARGETS, ids=lambda target: target.service.slug)
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


@pytest.fixture
async def made(postgres_server: Server, target: Target) -> AsyncIterator[Database]:
    template = migrated_template(postgres_server, target.service.name, target.migrations())
    async with template.database() as database:
        yield database
    await template.drop()


@pytest.fixture
async def admin(made: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(made.dsn_admin)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(made: Database) -> AsyncIterator[Pool]:
    """Give the reader's pool, of one connection, so that tenants follow each other on it."""
    async with await open_pool(PoolSettings(dsn=made.dsn_reader, application_name="test", max_size=1)) as opened:
        yield opened


@pytest.fixture
async def rows(admin: asyncpg.Connection, target: Target) -> None:
    """Make rows of tenant A's that every read finds, in every table that the reader sees."""
    await admin.execute(ROWS[target.service.name].replace(":tenant", f"'{A}'"))


def listed(heading: str) -> set[str]:
    """Return what the table under *heading* lists on the page."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


async def unbound(admin: asyncpg.Connection, service: str) -> set[str]:
    """Return what the service's reader may select from of every tenant."""
    return {row["name"] for row in await admin.fetch(SEEN, reader_role(service)) if not row["is_bound"]}


async def test_what_a_reader_sees_is_bound_to_a_tenant_or_listed(admin: asyncpg.Connection, target: Target) -> None:
    assert await unbound(admin, target.service.name) <= listed("Tables without a tenant")


async def test_the_list_has_no_table_that_no_reader_sees(postgres_server: Server) -> None:
    seen: set[str] = set()
    for each in TARGETS:
        template = migrated_template(postgres_server, each.service.name, each.migrations())
        async with template.database() as database:
            connection = await asyncpg.connect(database.dsn_admin)
            seen |= await unbound(connection, each.service.name)
            await connection.close()
        await template.drop()

    assert seen == listed("Tables without a tenant")


async def test_a_table_that_is_granted_and_forgotten_is_found(admin: asyncpg.Connection, target: Target) -> None:
    service = target.service.name
    reader = reader_role(service)
    await admin.execute(f"create table {service}.forgotten (tenant_id uuid, body text)")
    await admin.execute(f"grant select (body) on {service}.forgotten to {reader}")
    await admin.execute(f"create table {service}.half_done (tenant_id uuid)")
    await admin.execute(f"grant select on {service}.half_done to public")
    await admin.execute(f"alter table {service}.half_done enable row level security")

    found = await unbound(admin, service) - listed("Tables without a tenant")

    assert found == {f"{service}.forgotten", f"{service}.half_done"}


async def test_who_is_exempt_is_listed(admin: asyncpg.Connection, target: Target) -> None:
    service = target.service.name
    exempt = {app_role(service), owner_role(service)}
    found = await admin.fetch(
        """select rolname from pg_roles r
            where rolname = any ($1)
              and (rolsuper or rolbypassrls
                   or exists (select from pg_class where relrowsecurity and relowner = r.oid))""",
        service_roles(service),
    )

    assert {row["rolname"] for row in found} == exempt
    assert listed("Who is exempt") == {role.replace(service, "<service>") for role in exempt}


async def test_a_reader_selects_and_does_nothing_else(admin: asyncpg.Connection, target: Target) -> None:
    reader = reader_role(target.service.name)

    assert await admin.fetch(WRITABLE, reader) == []
    runs_as_another = {str(row[0]).partition("(")[0] for row in await admin.fetch(RUNS_AS_ANOTHER, reader)}
    assert runs_as_another <= listed("Functions that run as their owner")
    assert await admin.fetch("select from pg_auth_members where member = $1::text::regrole", reader) == []
    assert not await admin.fetchval("select has_database_privilege($1, current_database(), 'create, temp')", reader)


@pytest.mark.usefixtures("rows")
async def test_every_read_finds_what_is_the_tenants(pool: Pool, target: Target) -> None:
    for name, read in reads_of(target.service.name, TenantPool(pool)).items():
        assert await read(A), name
        assert not await read(B), name


@pytest.mark.usefixtures("rows")
async def test_every_read_without_its_predicate_finds_nothing_of_another_tenant(
    made: Database, pool: Pool, target: Target
) -> None:
    """The app role, which is exempt, finds it: the predicates are gone indeed."""
    service = target.service.name
    app = PoolSettings(dsn=made.dsn_app, application_name="test", max_size=1)
    async with await open_pool(app) as exempt:
        for name, read in reads_of(service, PlantedPool(exempt)).items():
            assert await read(B), name

    for name, read in reads_of(service, PlantedPool(pool)).items():
        assert await read(A), name
        assert not await read(B), name
        assert await read(A), name


@pytest.mark.usefixtures("rows")
async def test_unset_no_row_is_shown(admin: asyncpg.Connection, pool: Pool, target: Target) -> None:
    bound = [row["name"] for row in await admin.fetch(SEEN, reader_role(target.service.name)) if row["is_bound"]]
    count = "select count(*) from {}"

    assert bound
    for table in bound:
        assert await admin.fetchval(count.format(table)), f"{table}: no row to look for"
        async with pool.connection() as connection:
            assert await connection.fetchval(count.format(table)) == 0, table


async def test_an_exempt_reader_and_a_bound_app_are_refused(made: Database, target: Target) -> None:
    service, sources = target.service.name, target.migrations()

    with pytest.raises(MigrationError, match="must be a role nobody_reader"):
        await migrate(made.dsn_owner, sources, app_role=app_role(service), reader_role="nobody_reader")
    with pytest.raises(MigrationError, match=f"must be a role {app_role(service)}"):
        await migrate(made.dsn_owner, sources, app_role=app_role(service), reader_role=app_role(service))
    with pytest.raises(MigrationError, match="must exempt the role"):
        await migrate(made.dsn_owner, sources, app_role=reader_role(service), reader_role=reader_role(service))
