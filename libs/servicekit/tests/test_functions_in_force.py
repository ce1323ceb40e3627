"""Functions' files against a real PostgreSQL: applied when their text changed, and never with another signature."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

from servicekit.cli import Migration, add_migrate
from servicekit.migrations import MigrationError, MigrationSource, migrate
from testkit.databases import Database, Server, TemplateDatabase

pytestmark = pytest.mark.integration

APP_ROLE = "probe_app"
PAIR = """\
-- A pair.
create type probe.pair as (a int, b text collate "C");

create or replace function probe.sum(pairs probe.pair[]) returns int
language plpgsql volatile set enable_seqscan = off as $$
begin
    return (select sum(a) from unnest(pairs));
end $$;

revoke execute on function probe.sum from public;
grant execute on function probe.sum to :"app_role";
"""
# Sorted before what it needs.
DOUBLE = """\
-- needs: sum
create or replace function probe.double(pairs probe.pair[]) returns int
language plpgsql volatile as $$ begin return 2 * probe.sum(pairs); end $$;
"""


@dataclass(frozen=True)
class Probe:
    """A source of one migration and two functions, and a database."""

    folder: Path
    database: Database

    @property
    def source(self) -> MigrationSource:
        return MigrationSource("probe", self.folder, self.folder / "functions")

    def edit(self, old: str, new: str, *, name: str = "sum") -> None:
        file = self.folder / "functions" / f"{name}.sql"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    async def migrate(self) -> list[str]:
        return [str(each) for each in await migrate(self.database.dsn_owner, [self.source], app_role=APP_ROLE)]

    async def value(self, query: str) -> object:
        connection = await asyncpg.connect(self.database.dsn_owner)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()


@pytest.fixture
async def probe(postgres_server: Server, tmp_path: Path) -> AsyncIterator[Probe]:
    """Give the source, applied once."""
    (tmp_path / "functions").mkdir()
    (tmp_path / "0001_baseline.sql").write_text('create schema probe; grant usage on schema probe to :"app_role"')
    (tmp_path / "functions" / "sum.sql").write_text(PAIR)
    (tmp_path / "functions" / "double.sql").write_text(DOUBLE)

    async def nothing(_dsn: str) -> None:
        return None

    template = TemplateDatabase(postgres_server, service="probe", migrate=nothing)
    async with template.database() as database:
        made = Probe(tmp_path, database)
        assert await made.migrate() == ["probe/0001_baseline", "probe/functions/sum", "probe/functions/double"]
        yield made
    await template.drop()


async def test_a_file_is_applied_again_when_its_text_changed(probe: Probe) -> None:
    unchanged = await probe.migrate()
    probe.edit("select sum(a)", "select -sum(a)")
    probe.edit("set enable_seqscan = off ", "set plan_cache_mode = force_generic_plan ")
    changed = await probe.migrate()

    assert (unchanged, changed) == ([], ["probe/functions/sum"])
    assert await probe.migrate() == []
    assert await probe.value("select probe.double(array[(1, 'x'), (2, null)]::probe.pair[])") == -6
    settings = "select proconfig from pg_proc where oid = 'probe.sum'::regproc"
    assert await probe.value(settings) == ["plan_cache_mode=force_generic_plan"]
    assert await probe.value("select to_regtype('servicekit.compared')") is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("(a int, b text", "(a bigint, b text", r"probe\.pair has other attributes"),
        ('(a int, b text collate "C")', '(a int, b text collate "C", c int)', r"probe\.pair has other attributes"),
        ("sum(pairs probe.pair[]) returns int", "sum(pairs probe.pair[], n int) returns int", "is not unique"),
        ("sum(pairs probe.pair[]) returns int", "sum(pairs probe.pair[]) returns bigint", "cannot change return type"),
        ("sum(pairs probe.pair[]) returns int", "sum(all_of probe.pair[]) returns int", "cannot change name of input"),
    ],
)
async def test_a_signature_that_is_changed_in_place_is_refused(probe: Probe, old: str, new: str, told: str) -> None:
    probe.edit(old, new)

    with pytest.raises(MigrationError, match=f"probe/functions/sum.* {told}.*give what changed a new name"):
        await probe.migrate()

    assert await probe.value("select count(*) from pg_proc where pronamespace = 'probe'::regnamespace") == 2
    assert await probe.value("select probe.double(array[(1, 'x')]::probe.pair[])") == 2


async def test_other_arguments_under_the_same_name_are_refused(probe: Probe) -> None:
    probe.edit("(pairs probe.pair[])", "(pairs probe.pair[], n int)", name="double")

    with pytest.raises(
        MigrationError, match=r"probe/functions/double has other arguments.*give what changed a new name"
    ):
        await probe.migrate()


async def test_a_changed_signature_stands_beside_the_old_one_under_a_new_name(probe: Probe) -> None:
    wider = PAIR.replace("probe.sum", "probe.sum_2").replace("probe.pair", "probe.pair_2").replace("a int", "a bigint")
    (probe.folder / "functions" / "sum_2.sql").write_text(wider)

    assert await probe.migrate() == ["probe/functions/sum_2"]
    assert await probe.value("select probe.sum(array[(1, 'x')]::probe.pair[])") == 1
    assert await probe.value("select probe.sum_2(array[(1, 'x')]::probe.pair_2[])") == 1


async def test_a_file_that_fails_leaves_the_function_that_was(probe: Probe) -> None:
    probe.edit("to :", "to nobody, :")

    with pytest.raises(asyncpg.UndefinedObjectError) as failed:
        await probe.migrate()

    assert failed.value.__notes__ == ["in probe/functions/sum"]
    assert await probe.value("select probe.double(array[(1, 'x')]::probe.pair[])") == 2


async def test_a_function_that_was_dropped_is_made_again_from_the_same_text(probe: Probe) -> None:
    await probe.value("drop function probe.double")

    assert await probe.migrate() == ["probe/functions/double"]


async def test_an_older_release_leaves_the_functions_to_the_newer_one(probe: Probe) -> None:
    newer = probe.folder / "0002_more.sql"
    newer.write_text("create table probe.t (n int)")
    assert await probe.migrate() == ["probe/0002_more"]
    newer.unlink()
    probe.edit("select sum(a)", "select -sum(a)")

    assert await probe.migrate() == []
    assert await probe.value("select probe.sum(array[(1, 'x')]::probe.pair[])") == 1


async def test_migrate_tells_what_does_not_fit_in_one_sentence(probe: Probe) -> None:
    await probe.value("update servicekit.migration set name = 'ledger', sha256 = 'other'")
    cli = typer.Typer()
    cli.callback()(lambda: None)
    add_migrate(cli, lambda: Migration(probe.database.dsn_owner, [probe.source], APP_ROLE))

    told = await asyncio.to_thread(CliRunner().invoke, cli, ["migrate"])

    assert told.exit_code == 1
    assert told.stderr.startswith("migrate: this database was made by an earlier schema (probe/0001_ledger ")
    assert told.stderr.count("\n") == 1
