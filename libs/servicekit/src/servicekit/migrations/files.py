"""The files of a source: migrations by number, and functions in an order in which each finds what it needs."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from graphlib import CycleError, TopologicalSorter
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import Final

APP_ROLE: Final = ':"app_role"'
READER_ROLE: Final = ':"reader_role"'
_FILE_NAME = re.compile(r"(?P<number>[0-9]{4})_(?P<name>[a-z0-9_]+)(?:\.(?P<phase>pre|post))?\.sql", re.ASCII)
_FUNCTION: Final = re.compile(r"^create or replace function ([a-z0-9_]+)\.([a-z0-9_]+)\(", re.MULTILINE | re.ASCII)
_NEEDS: Final = re.compile(r"^-- needs: (.+)", re.MULTILINE)


class MigrationError(Exception):
    """The files and the database disagree, or a file cannot be read; nothing more was applied."""


class Phase(Enum):
    """Which files a run applies: those before a release, those after it, or all of them by number."""

    PRE = "pre"
    POST = "post"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Roles:
    """Whom files grant rights: the role of the service's processes, and the one its API reads as, None without one."""

    app: str
    reader: str | None = None


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """A folder of migrations, the name it is recorded under, and the folder of its functions if it has any."""

    name: str
    folder: Traversable
    functions: Traversable | None = None


@dataclass(frozen=True, slots=True)
class Migration:
    """One file, read."""

    source: str
    number: int
    name: str
    phase: Phase
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum that must never change once the file is applied."""
        return _sha256(self.sql)

    def __str__(self) -> str:
        return f"{self.source}/{self.number:04d}_{self.name}"


@dataclass(frozen=True, slots=True)
class SqlFunction:
    """One function's file, read: *schema* and *name* are the function's."""

    source: str
    schema: str
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum of this text, compared with that of the text in force."""
        return _sha256(self.sql)

    def __str__(self) -> str:
        return f"{self.source}/functions/{self.name}"


def for_roles(sql: str, roles: Roles) -> str:
    """Return *sql* with *roles* filled in, quoted. Raises MigrationError where it names a reader and there is none."""
    if READER_ROLE in sql:
        if roles.reader is None:
            raise MigrationError(f"a file grants rights to {READER_ROLE}, and no such role was given")
        sql = sql.replace(READER_ROLE, _quoted(roles.reader))
    return sql.replace(APP_ROLE, _quoted(roles.app))


def read_source(source: MigrationSource) -> list[Migration]:
    """Return the source's migrations by number; raise MigrationError on a stray name or a number used twice."""
    migrations = [_migration(source.name, file) for file in _sql_files(source.folder)]
    migrations.sort(key=lambda migration: migration.number)
    for before, after in pairwise(migrations):
        if before.number == after.number:
            raise MigrationError(f"{before} and {after} have the same number")
    return migrations


def read_functions(source: MigrationSource) -> list[SqlFunction]:
    """Return the source's functions, each behind those that it needs, otherwise by name.

    Raises MigrationError if a file does not hold the one function it is named after, or needs one that is not there.
    """
    if source.functions is None or not source.functions.is_dir():
        return []
    read = (_function(source.name, file) for file in _sql_files(source.functions))
    functions = {function.name: function for function in read}
    needed = {name: _needed(each) for name, each in functions.items()}
    for name, others in needed.items():
        if missing := sorted(others - functions.keys()):
            raise MigrationError(f"{functions[name]} needs {missing[0]}, which has no file")
    return [functions[name] for name in _ordered(needed, source.name)]


def _quoted(role: str) -> str:
    return '"' + role.replace('"', '""') + '"'


def _sha256(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()


def _sql_files(folder: Traversable) -> Iterator[Traversable]:
    return (file for file in folder.iterdir() if file.name.endswith(".sql"))


def _migration(source: str, file: Traversable) -> Migration:
    match = _FILE_NAME.fullmatch(file.name)
    if match is None:
        raise MigrationError(f"{source}: {file.name} is not named NNNN_name.sql, .pre.sql or .post.sql")
    phase = Phase(match["phase"] or "pre")
    return Migration(source, int(match["number"]), match["name"], phase, file.read_text(encoding="utf-8"))


def _function(source: str, file: Traversable) -> SqlFunction:
    sql = file.read_text(encoding="utf-8")
    match _FUNCTION.findall(sql):
        case [(schema, name)] if file.name == f"{name}.sql":
            return SqlFunction(source, schema, name, sql)
    raise MigrationError(f"{source}: {file.name} does not hold one `create or replace function`, of its own name")


def _needed(function: SqlFunction) -> set[str]:
    return {name.strip() for line in _NEEDS.findall(function.sql) for name in line.split(",")}


def _ordered(needed: dict[str, set[str]], source: str) -> Iterator[str]:
    sorter = TopologicalSorter(needed)
    try:
        sorter.prepare()
    except CycleError as error:
        raise MigrationError(f"{source}: functions need each other in a circle: {', '.join(error.args[1])}") from None
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        yield from ready
        sorter.done(*ready)
