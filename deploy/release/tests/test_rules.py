"""The release before runs on what this one makes: its files are left as they are, and its events are read."""

import re
from dataclasses import replace

import pytest

from contracts.registry import PUBLISHED_TYPES
from engines import checkout
from release import marking
from release.domain.migration_rules import hazards
from release.domain.released import BEHIND_SETTINGS, Released

SETTINGS = checkout.ROOT / "docs" / "settings.md"


def new_migrations() -> list[str]:
    released = marking.released()
    return [path for path in marking.sql_files() if path not in {**released.migrations, **released.functions}]


def test_functions_and_migrations_of_the_last_release_are_as_they_were() -> None:
    assert list(marking.released().changed(marking.sql_files())) == []


def test_each_event_type_is_read_by_the_last_release_or_published_behind_a_setting() -> None:
    assert list(marking.released().unread(PUBLISHED_TYPES, BEHIND_SETTINGS)) == []


def test_what_is_behind_a_setting_is_new_and_its_setting_is_there() -> None:
    assert set(BEHIND_SETTINGS) <= set(PUBLISHED_TYPES) - set(marking.released().event_types)
    assert [name for name in BEHIND_SETTINGS.values() if f"`{name}`" not in SETTINGS.read_text()] == []


@pytest.mark.parametrize("path", new_migrations())
def test_new_migrations_keep_nobody_out(path: str) -> None:
    if path.endswith(".post.sql") or "/functions/" in path:
        return
    assert hazards((checkout.ROOT / path).read_text()) == []


def test_the_last_release_is_a_whole_commit() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", marking.previous())


RELEASED = Released(functions={"f.sql": "1"}, migrations={"0001_a.sql": "2"}, event_types=("a.v1",))


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"f.sql": "1", "0001_a.sql": "2", "0002_b.sql": "3"}, 0),
        ({"f.sql": "9", "0001_a.sql": "2"}, 1),
        ({"f.sql": "1", "0001_a.sql": "9"}, 1),
        ({"0001_a.sql": "2"}, 1),
    ],
)
def test_a_changed_file_of_the_last_release_is_found(files: dict[str, str], found: int) -> None:
    assert len(list(RELEASED.changed(files))) == found


def test_a_new_event_type_is_found_unless_a_setting_keeps_it_back() -> None:
    assert len(list(RELEASED.unread(["a.v1", "a.v2"], {}))) == 1
    assert list(RELEASED.unread(["a.v1", "a.v2"], {"a.v2": "A_V2"})) == []
    assert list(replace(RELEASED, event_types=("a.v1", "a.v2")).unread(["a.v2"], {})) == []


@pytest.mark.parametrize(
    "sql",
    [
        "create index i on s.t (a)",
        "create unique index i on s.t (a)",
        "alter table s.t alter column a type bigint",
        "alter table s.t alter a set data type bigint",
        "alter table s.t alter column a set not null",
        "alter table s.t add column a uuid default gen_random_uuid()",
        "alter table s.t add column a bigint generated always as (b + 1) stored",
        "alter table s.t add column a bigint not null",
        "alter table s.t add constraint c check (a > 0)",
        "alter table s.t add constraint c foreign key (a) references s.u (a)",
        "alter table s.t add constraint c unique (a)",
        "alter table s.t drop column a",
        "alter table s.t rename column a to b",
        "drop table s.t",
        "drop function s.f(int)",
        "truncate s.t",
        "lock table s.t in exclusive mode",
        "update s.t set a = 1",
        "delete from s.t",
        "-- a word first\nupdate s.t set a = 1;",
        "create table s.u (a int); create index on s.t (a)",
    ],
)
def test_what_the_release_before_would_not_survive_is_found(sql: str) -> None:
    assert len(hazards(sql)) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "create table s.t (a int); create index on s.t (a); alter table s.t alter column a set not null",
        "alter table s.t add column a bigint",
        "alter table s.t add column a bigint not null default 0",
        "alter table s.t add constraint c check (a > 0) not valid",
        "alter table s.t validate constraint c",
        "alter table s.t add constraint c unique using index i",
        "create function s.f() returns void language sql as $$ update s.t set a = 1; $$",
        "-- drop table s.t",
        "grant select on s.t to r",
    ],
)
def test_what_only_adds_is_let_through(sql: str) -> None:
    assert hazards(sql) == []
