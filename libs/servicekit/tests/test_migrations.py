"""Migrations against a real PostgreSQL: once each, by phase, never changed, by one process at a time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from servicekit.migrations import MigrationError, MigrationSource, Phase, migrate, pending, servicekit_source
from servicekit.postgres import connect
from testkit.databases import Database, Server, TemplateDatabase

pytestmark = pytest.mark.integration

APP_ROLE = "probe_app"


@pytest.fixture
async def database(postgres_server: Server) -> AsyncIterator[Database]:
    """Give an empty database with an owner and an app role."""

    async def nothing(_dsn: str) -> None:
        return None

    template = TemplateDatabase(postgres_server, service="probe", migrate=nothing)
    async with template.database() as database:
        yield database
    await template.drop()


@pytest.fixture
def source(tmp_path: Path) -> MigrationSource:
    (tmp_path / "0001_table.sql").write_text(
        'create schema probe; create table probe.t (n int); grant usage on schema probe to :"app_role"; '
        'grant select on probe.t to :"app_role";'
    )
    (tmp_path / "0002_drop.post.sql").write_text("alter table probe.t drop column n")
    (tmp_path / "0003_more.pre.sql").write_text("alter table probe.t add column m int")
    return MigrationSource("probe", tmp_path)


async def test_each_file_is_applied_once(database: Database, source: MigrationSource) -> None:
    first = await migrate(database.dsn_owner, [servicekit_source(), source], app_role=APP_ROLE)
    second = await migrate(database.dsn_owner, [servicekit_source(), source], app_role=APP_ROLE)

    assert [str(m) for m in first if m.source == "probe"] == ["probe/0001_table", "probe/0002_drop", "probe/0003_more"]
    assert second == []


async def test_what_would_be_applied_is_told_and_is_not(database: Database, source: MigrationSource) -> None:
    sources = [servicekit_source(), source]
    before_all = await pending(database.dsn_owner, sources)
    applied = await migrate(database.dsn_owner, sources, app_role=APP_ROLE, phase=Phase.PRE)
    left = await pending(database.dsn_owner, sources)

    assert [each for each in before_all if each not in left] == applied
    assert [str(each) for each in left] == ["probe/0002_drop"]
    assert await pending(database.dsn_owner, sources, phase=Phase.PRE) == []
    assert await migrate(database.dsn_owner, sources, app_role=APP_ROLE) == left


async def test_the_app_role_is_granted_what_the_files_say(database: Database, source: MigrationSource) -> None:
    await migrate(database.dsn_owner, [servicekit_source(), source], app_role=APP_ROLE)
    app = await connect(database.dsn_app, application_name="probe")

    assert await app.fetch("select m from probe.t") == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("delete from probe.t")
    await app.close()


async def test_phases_wait_for_their_turn(database: Database, source: MigrationSource) -> None:
    before = await migrate(database.dsn_owner, [source], app_role=APP_ROLE, phase=Phase.PRE)
    after = await migrate(database.dsn_owner, [source], app_role=APP_ROLE, phase=Phase.POST)

    assert [str(m) for m in (*before, *after)] == ["probe/0001_table", "probe/0003_more", "probe/0002_drop"]


async def test_a_changed_file_is_refused(database: Database, source: MigrationSource, tmp_path: Path) -> None:
    await migrate(database.dsn_owner, [source], app_role=APP_ROLE)
    (tmp_path / "0003_more.pre.sql").write_text("select 1")

    with pytest.raises(MigrationError, match="probe/0003_more was changed"):
        await migrate(database.dsn_owner, [source], app_role=APP_ROLE)


async def test_a_database_of_an_earlier_schema_is_told_to_begin_again(
    database: Database, source: MigrationSource, tmp_path: Path
) -> None:
    await migrate(database.dsn_owner, [source], app_role=APP_ROLE)
    (tmp_path / "0001_table.sql").rename(tmp_path / "0001_baseline.sql")
    (tmp_path / "0002_drop.post.sql").unlink()
    (tmp_path / "0003_more.pre.sql").unlink()

    with pytest.raises(
        MigrationError, match=r"earlier schema \(probe/0001_table where probe/0001_baseline.*`make clean`"
    ):
        await migrate(database.dsn_owner, [source], app_role=APP_ROLE)


async def test_a_missing_file_is_refused(database: Database, source: MigrationSource, tmp_path: Path) -> None:
    await migrate(database.dsn_owner, [source], app_role=APP_ROLE)
    (tmp_path / "0002_drop.post.sql").unlink()

    with pytest.raises(MigrationError, match="probe/0002"):
        await migrate(database.dsn_owner, [source], app_role=APP_ROLE)


async def test_an_older_release_may_run_beside_a_newer_one(
    database: Database, source: MigrationSource, tmp_path: Path
) -> None:
    await migrate(database.dsn_owner, [source], app_role=APP_ROLE)
    (tmp_path / "0003_more.pre.sql").unlink()

    assert await migrate(database.dsn_owner, [source], app_role=APP_ROLE) == []


async def test_a_file_that_fails_leaves_nothing(database: Database, source: MigrationSource, tmp_path: Path) -> None:
    (tmp_path / "0004_bad.sql").write_text("create table probe.half (n int); select 1/0")

    with pytest.raises(asyncpg.DivisionByZeroError) as failed:
        await migrate(database.dsn_owner, [source], app_role=APP_ROLE)

    assert failed.value.__notes__ == ["in migration probe/0004_bad"]
    owner = await connect(database.dsn_owner, application_name="probe")
    assert await owner.fetchval("select to_regclass('probe.half')") is None
    assert await owner.fetchval("select max(number) from servicekit.migration") == 3
    await owner.close()


async def test_runs_at_once_take_turns(database: Database, source: MigrationSource) -> None:
    runs = await asyncio.gather(*(migrate(database.dsn_owner, [source], app_role=APP_ROLE) for _ in range(4)))

    assert sorted(len(applied) for applied in runs) == [0, 0, 0, 3]
