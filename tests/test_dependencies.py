"""The check of dependencies finds what it looks for."""

from pathlib import Path

from tests.dependencies import NEVER_IMPORTED, members, undeclared


def member(folder: Path, *, declares: str, imports: str) -> Path:
    """Return a member that declares and imports one package each."""
    folder.joinpath("pyproject.toml").write_text(
        f'[project]\nname = "thing"\nversion = "1"\ndependencies = ["{declares}"]\n'
    )
    package = folder / "src" / "thing"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").write_text(f"import {imports}\n")
    return folder


def test_what_is_declared_and_imported_is_right(tmp_path: Path) -> None:
    assert undeclared(member(tmp_path, declares="asyncpg", imports="asyncpg")) == ""


def test_an_import_of_another_member_must_be_declared_too(tmp_path: Path) -> None:
    found = undeclared(member(tmp_path, declares="asyncpg", imports="asyncpg, servicekit"))

    assert "'servicekit' imported but it is a transitive dependency" in found


def test_what_is_declared_in_vain_is_found(tmp_path: Path) -> None:
    found = undeclared(member(tmp_path, declares="msgspec", imports="json"))

    assert "'msgspec' defined as a dependency but not used" in found


def test_every_exception_is_declared_somewhere() -> None:
    declared = "".join((each / "pyproject.toml").read_text() for each in members())

    assert [name for name in NEVER_IMPORTED if f'"{name}"' not in declared] == []
