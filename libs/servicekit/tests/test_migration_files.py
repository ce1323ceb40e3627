"""Migration files are read by name and number."""

from pathlib import Path

import pytest

from servicekit.migrations import MigrationError, MigrationSource, Phase, read_source, servicekit_source


def source_of(folder: Path, *names: str) -> MigrationSource:
    for name in names:
        (folder / name).write_text("SELECT 1")
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
    assert read_source(servicekit_source())[0].name == "schema"
