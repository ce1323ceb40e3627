"""Migration files are read by name and number."""

from pathlib import Path

import pytest

from servicekit.migrations import (
    MigrationError,
    MigrationSource,
    Phase,
    read_functions,
    read_source,
    servicekit_source,
)


def source_of(folder: Path, *names: str) -> MigrationSource:
    for name in names:
        (folder / name).write_text("select 1")
    return MigrationSource("probe", folder)


def test_files_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    source = source_of(tmp_path, "0002_b.post.sql", "0001_a.sql", "0003_c.pre.sql", "README.md")

    migrations = read_source(source)

    assert [(m.number, m.phase) for m in migrations] == [(1, Phase.PRE), (2, Phase.POST), (3, Phase.PRE)]


@pytest.mark.parametrize("names", [("1_a.sql",), ("0001_A.sql",), ("0001_a.later.sql",), ("0001_a.sql", "0001_b.sql")])
def test_a_stray_name_or_number_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    source = source_of(tmp_path, *names)

    with pytest.raises(MigrationError):
        read_source(source)


def test_servicekit_has_its_own_migrations() -> None:
    assert read_source(servicekit_source())[0].name == "baseline"


def functions_of(folder: Path, **needs: str) -> MigrationSource:
    for name, needed in needs.items():
        header = f"-- needs: {needed}\n" if needed else ""
        (folder / f"{name}.sql").write_text(f"{header}create or replace function probe.{name}() returns int")
    return MigrationSource("probe", folder, folder)


def test_a_function_stands_behind_what_it_needs_and_otherwise_by_name(tmp_path: Path) -> None:
    source = functions_of(tmp_path, b="", a="d, c", d="", c="d")

    assert [function.name for function in read_functions(source)] == ["b", "d", "c", "a"]


@pytest.mark.parametrize("needs", [{"a": "b"}, {"a": "b", "b": "a"}, {"a": "a"}])
def test_a_need_that_cannot_be_met_is_refused(tmp_path: Path, needs: dict[str, str]) -> None:
    with pytest.raises(MigrationError, match=r"needs? "):
        read_functions(functions_of(tmp_path, **needs))


@pytest.mark.parametrize(
    "text",
    [
        "create or replace function probe.b() returns int",
        "create function probe.a() returns int",
        "create or replace function probe.a() returns int;\ncreate or replace function probe.b() returns int",
        "select 1",
    ],
)
def test_a_file_that_does_not_hold_the_function_of_its_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.sql").write_text(text)

    with pytest.raises(MigrationError, match=r"a\.sql does not hold one"):
        read_functions(MigrationSource("probe", tmp_path, tmp_path))


def test_a_source_may_have_no_functions(tmp_path: Path) -> None:
    assert read_functions(MigrationSource("probe", tmp_path)) == []
    assert read_functions(MigrationSource("probe", tmp_path, tmp_path / "none")) == []
