"""Files and functions stay small enough to be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
"""With decorators, signature and docstring."""


def files() -> list[Path]:
    """Return every Python and SQL file that is written by hand, tests among them."""
    parents = [ROOT / name for name in ("libs", "services", "deploy", "tests")]
    found = [file for parent in parents for pattern in ("*.py", "*.sql") for file in parent.rglob(pattern)]
    return [file for file in found if file.name != "schema.sql"]


def long_functions(tree: ast.AST) -> Iterator[str]:
    """Yield the names of functions with too many lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            assert node.end_lineno is not None
            if node.end_lineno - first + 1 > FUNCTION_LINES_MAX:
                yield node.name


def test_the_check_finds_what_it_looks_for() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX

    assert list(long_functions(ast.parse(f"def long():\n{body}"))) == ["long"]
    assert list(long_functions(ast.parse("def short():\n    pass"))) == []


def test_no_file_is_too_long() -> None:
    too_long = {str(file.relative_to(ROOT)) for file in files() if file.read_text().count("\n") > FILE_LINES_MAX}

    assert sorted(too_long) == []


def test_no_function_is_too_long() -> None:
    modules = [file for file in files() if file.suffix == ".py"]

    found = [
        f"{file.relative_to(ROOT)}: {name}" for file in modules for name in long_functions(ast.parse(file.read_text()))
    ]

    assert found == []
