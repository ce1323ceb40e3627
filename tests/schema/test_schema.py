"""What stands in `sql/schema.sql` is what the migrations and the functions' files make."""

import re
from typing import Final

import pytest
from tests.openapi.services import TARGETS
from tests.openapi.targets import Target
from tests.schema.dumps import as_ours, schema_file, schema_of

from servicekit.migrations import APP_ROLE, Phase, read_functions, read_source
from testkit.databases import Server, migrated_template

pytestmark = pytest.mark.integration

CHANGES_A_SIGNATURE: Final = re.compile(r"\bdrop (?:function|type|schema)\b|\balter (?:function|type)\b")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.service.slug)
async def test_the_schema_is_what_the_migrations_make(postgres_server: Server, target: Target) -> None:
    template = migrated_template(postgres_server, target.service.name, target.migrations())
    async with template.database() as database:
        made = schema_of(target, database)
    await template.drop()

    assert schema_file(target).read_text() == made, "run `make docs`"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.service.slug)
def test_every_function_in_force_has_a_file(target: Target) -> None:
    in_files = {f"{each.schema}.{each.name}" for source in target.migrations() for each in read_functions(source)}
    lines = schema_file(target).read_text().splitlines()
    in_force = {line.split("(")[0].rpartition(" ")[2] for line in lines if line.startswith("create function ")}

    assert in_force == in_files


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.service.slug)
def test_what_an_older_release_calls_is_dropped_after_it_is_gone(target: Target) -> None:
    """Dropped before, a function could come back with another signature under its name in the same run."""
    early = [
        str(migration)
        for source in target.migrations()
        for migration in read_source(source)
        if migration.phase is not Phase.POST and CHANGES_A_SIGNATURE.search(migration.sql)
    ]

    assert early == []


def test_what_is_quoted_stays_as_it_is() -> None:
    dumped = (
        "\\restrict x\nSET a = 'B';\n\n-- Name: A\n\nCREATE TABLE t (\n\tA text COLLATE \"C\" DEFAULT 'X--Y'\n);\n\n\n"
        "\n"
        "CREATE FUNCTION f() AS $$\n X; -- As it is\n$$;\n\nGRANT ALL ON t TO probe_app;\n\\unrestrict x\n"
    )

    text = as_ours(dumped, {"probe_app": APP_ROLE}).partition("\n\n")[2]

    assert text == (
        "create table t (\n    a text collate \"C\" default 'X--Y'\n);\n\n"
        'create function f() as $$\n X; -- As it is\n$$;\n\ngrant all on t to :"app_role";\n'
    )
