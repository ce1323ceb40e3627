"""SQL is written in one case: keywords in lower case, in its own files and in the strings of the sources and tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("libs", "services", "deploy", "tests")
FILES: Final = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.sql"))
SOURCES: Final = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
# What a statement, or a part that is joined to one, begins with.
BEGINS: Final = re.compile(
    r"\W*(select|insert into|update|delete from|with|create|alter|drop|grant|revoke|lock table|set|show|truncate|"
    r"vacuum|analyze|explain|from|where|and|order by|union|returning|on conflict|values)\s+\S",
    re.IGNORECASE,
)
KEYWORD: Final = re.compile(
    "SELECT|FROM|WHERE|AND|OR|NOT|NULL|INSERT|INTO|VALUES|UPDATE|SET|DELETE|RETURNING|ON|CONFLICT|WITH|AS|ORDER|BY|GROUP|"
    "LIMIT|JOIN|UNION|CREATE|TABLE|INDEX|SCHEMA|DROP|ALTER|GRANT|REVOKE|LOCK|SHOW|TRUNCATE|VACUUM|ANALYZE|EXPLAIN|IN|IS|"
    "EXISTS|ANY|TO|SYSTEM|LOCAL"
)
COMMAND_TAG: Final = re.compile(r"(INSERT 0|UPDATE|DELETE|SELECT) \d+")  # PostgreSQL's own word for what was done
QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|--[^\n]*")


def upper_case(sql: str) -> list[str]:
    """Return the words with upper-case letters outside of quotes and comments."""
    return re.findall(r"\w*[A-Z]\w*", QUOTED.sub("", sql))


def shouted(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and a keyword in upper case of each string that begins as SQL does."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        else:
            continue
        if BEGINS.match(text) and not COMMAND_TAG.fullmatch(text):
            yield from ((node.lineno, word) for word in upper_case(text) if KEYWORD.fullmatch(word))


def test_the_checks_find_what_they_look_for() -> None:
    assert upper_case("t, Select 'A' -- B\n, \"C\" WHERE x") == ["Select", "WHERE"]
    statement, condition = "select 'AND' from t".replace("from", "FROM"), " and a = $1".upper()
    source = (
        f'a = "{statement}"\nb = f"{{a}}{condition}"\nc = ("UPDATE 1", "DELETE", f"DELETE {{a}}", "FROM", "with JSON")'
    )

    assert list(shouted(ast.parse(source))) == [(1, "FROM"), (2, "AND")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_sql_files_are_in_lower_case(file: Path) -> None:
    assert upper_case(file.read_text()) == []


def test_sql_in_strings_is_in_lower_case() -> None:
    found = {str(file.relative_to(ROOT)): list(shouted(ast.parse(file.read_text()))) for file in SOURCES}

    assert {name: words for name, words in found.items() if words} == {}
