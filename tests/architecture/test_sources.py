"""Rules of the sources that no linter knows, each checked by a machine because it matters."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = sorted(
    file for parent in ("libs", "services", "deploy") for file in (ROOT / parent).glob("*/src/**/*.py")
)


def lost_updates(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of `x += await f()`: Python reads x before the await, so an update in between is lost."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and any(isinstance(inner, ast.Await) for inner in ast.walk(node.value)):
            yield node.lineno


def floats(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of a float written out or called for."""
    for node in ast.walk(tree):
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
        if is_literal or is_call:
            yield getattr(node, "lineno", 0)


def test_the_checks_find_what_they_look_for() -> None:
    assert list(lost_updates(ast.parse("async def f():\n    x += await g()"))) == [2]
    assert list(floats(ast.parse("a = 1.5\nb = float('2')"))) == [1, 2]
    assert list(
        loose_ends(ast.parse("re.compile('a$')\nMeta(pattern='b$')\nre.match(rb'c$', x)\nField(pattern='$')"))
    ) == [*(1, 2, 3)]
    assert list(environment_reads(ast.parse("import os\nHOME = os.environ['HOME']"))) == [2]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_update_is_lost_across_an_await(file: Path) -> None:
    assert list(lost_updates(ast.parse(file.read_text()))) == []


@pytest.mark.parametrize(
    "file",
    [file for file in SOURCES if "domain" in file.parts or file.name == "money.py"],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_money_knows_no_float(file: Path) -> None:
    assert list(floats(ast.parse(file.read_text()))) == []


def loose_ends(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of patterns for Python's engine that end with `$`, which lets a newline through.

    Pydantic's engine and the readers of JSON Schema know `$` as the end alone.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [each.value for each in node.keywords if each.arg == "pattern"] if name == "Meta" else []
        if name in {"compile", "match", "search"} and isinstance(getattr(node.func, "value", None), ast.Name):
            given = node.args[:1]
        for pattern in given:
            text = pattern.value if isinstance(pattern, ast.Constant) else ""
            text = text.decode("latin-1") if isinstance(text, bytes) else text
            if isinstance(text, str) and text.endswith("$"):
                yield node.lineno


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_pattern_lets_a_newline_through(file: Path) -> None:
    assert list(loose_ends(ast.parse(file.read_text()))) == []


def environment_reads(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that read the environment while the module is imported."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and inner.attr in {"environ", "getenv"}:
                yield inner.lineno


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_importing_a_module_reads_no_environment(file: Path) -> None:
    assert list(environment_reads(ast.parse(file.read_text()))) == []
