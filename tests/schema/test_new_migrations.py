"""What is new since the last release runs while that serves: it rewrites no table, and keeps no writer out."""

from functools import partial
from pathlib import Path

import asyncpg
import pytest
from tests.openapi.services import TARGETS
from tests.openapi.targets import Target

from engines import checkout, databases
from release import marking
from servicekit.migrations import MigrationSource, Phase, migrate
from testkit.databases import Database, Server, migrated_template
from testkit.migration_watch import disturbed

pytestmark = pytest.mark.integration

KEPT_OUT_MS_MAX = 4_000
REWRITTEN = "sample.payment was rewritten"
KEPT_OUT = "writers of sample.payment were kept out"
ROWS = 200_000
FILLED = f"""
    create schema sample;
    create table sample.payment (id bigint primary key, amount integer not null, note text);
    insert into sample.payment select n, n, 'a note of the usual length' from generate_series(1, {ROWS}) n;
"""


def released_only(source: MigrationSource, folder: Path) -> MigrationSource:
    """Return *source* as the last release had it, below *folder*."""
    own = folder / source.name
    own.mkdir(parents=True)
    released = marking.released().migrations
    for file in source.folder.iterdir():
        if str(Path(str(file)).relative_to(checkout.ROOT)) in released:
            (own / file.name).write_text(file.read_text())
    return MigrationSource(source.name, own, source.functions)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.service.slug)
async def test_new_migrations_let_the_last_release_write(
    postgres_server: Server, target: Target, tmp_path: Path
) -> None:
    service = target.service.name
    before = [released_only(source, tmp_path) for source in target.migrations()]
    template = migrated_template(postgres_server, service, before)
    async with template.database() as database:
        run = partial(
            migrate,
            database.dsn_owner,
            target.migrations(),
            app_role=databases.app_role(service),
            reader_role=databases.reader_role(service),
            phase=Phase.PRE,
        )
        found = await disturbed(database.dsn_owner, run, kept_out_ms_max=KEPT_OUT_MS_MAX)
    await template.drop()

    assert found == []


@pytest.mark.parametrize(
    ("sql", "kept_out_ms_max", "found"),
    [
        ("alter table sample.payment add column other text not null default 'none'", KEPT_OUT_MS_MAX, set()),
        (
            "alter table sample.payment alter column amount type bigint",
            KEPT_OUT_MS_MAX,
            {REWRITTEN},
        ),
        ("lock table sample.payment; select pg_sleep(1)", 200, {KEPT_OUT}),
    ],
)
async def test_a_migration_of_a_filled_table_that_disturbs_is_found(
    database: Database, tmp_path: Path, sql: str, kept_out_ms_max: int, found: set[str]
) -> None:
    owner = await asyncpg.connect(database.dsn_owner)
    await owner.execute(FILLED)
    await owner.close()
    (tmp_path / "0001_planted.sql").write_text(sql)
    planted = MigrationSource("planted", tmp_path)

    run = partial(migrate, database.dsn_owner, [planted], app_role=databases.app_role("sample"))

    assert set(await disturbed(database.dsn_owner, run, kept_out_ms_max=kept_out_ms_max)) == found


@pytest.fixture
async def database_template(postgres_server: Server) -> object:
    return migrated_template(postgres_server, "sample", [])
