"""Every line that a process may log, found in the sources: its action, its levels and its fields."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

LOGGER: Final = "_log"
MAKES_LOGGER: Final = "get_logger"
EXCEPTION: Final = "exception"
"""The field of a traceback; `log.exception` writes one, and so does the argument `exc_info`."""


class Level(IntEnum):
    """How severe a line is, and who is to look at it."""

    DEBUG = 10
    INFO = 20
    """What happens in a process's life."""
    WARNING = 30
    """Something is degraded, and mends itself."""
    ERROR = 40
    """Somebody has to look."""


# What is missing hides a field (`bind`), or has a level that nobody knows what to do about (`critical`).
_LEVELS: Final = {
    "debug": (Level.DEBUG,),
    "info": (Level.INFO,),
    "warning": (Level.WARNING,),
    "error": (Level.ERROR,),
    "exception": (Level.ERROR,),
    "log": (Level.INFO, Level.WARNING, Level.ERROR),
}


class UnreadableLine(Exception):
    """A line of the sources says not itself what it logs. The message is a sentence with its place."""


class _HiddenError(Exception):
    """A call hides what it logs; the message says how."""


@dataclass(frozen=True, slots=True)
class Line:
    """One call of a logger in the file *source*."""

    action: str
    levels: tuple[Level, ...]
    fields: tuple[str, ...]
    source: Path


def log_lines(folders: Iterable[Path]) -> Iterator[Line]:
    """Yield the lines of the modules below *folders*; raises UnreadableLine."""
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            yield from lines_of(file.read_text(), file)


def lines_of(text: str, source: Path) -> Iterator[Line]:
    """Yield the lines in the module *text*; raises UnreadableLine."""
    module = ast.parse(text)
    functions = {each.name: each for each in ast.walk(module) if isinstance(each, ast.FunctionDef)}
    for scope in _scopes(module):
        for call in _calls(scope):
            try:
                yield _line(call, _dicts_in(scope), functions, source)
            except _HiddenError as error:
                raise UnreadableLine(f"{source}:{call.lineno}: {error}") from None


def _scopes(module: ast.Module) -> Iterator[ast.AST]:
    """Yield the functions of *module* that stand in no other."""
    for each in ast.iter_child_nodes(module):
        if isinstance(each, ast.ClassDef):
            yield from ast.iter_child_nodes(each)
        else:
            yield each


def _calls(scope: ast.AST) -> Sequence[ast.Call]:
    """Return the calls of a logger, as they stand in the text."""
    found = [each for each in ast.walk(scope) if isinstance(each, ast.Call) and _is_of_logger(each.func)]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _is_of_logger(called: ast.expr) -> bool:
    return isinstance(called, ast.Attribute) and _is_logger(called.value)


def _is_logger(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == MAKES_LOGGER
    return isinstance(value, ast.Name) and value.id == LOGGER


def _line(
    call: ast.Call, dicts: Mapping[str, Sequence[str]], functions: Mapping[str, ast.FunctionDef], source: Path
) -> Line:
    assert isinstance(call.func, ast.Attribute)
    levels = _LEVELS.get(call.func.attr)
    if levels is None:
        raise _HiddenError(f"a logger's `{call.func.attr}` is not used here")
    action = call.args[-1] if call.args else None
    if not isinstance(action, ast.Constant) or not isinstance(action.value, str):
        raise _HiddenError("the action of a line is a constant")
    fields: list[str] = [EXCEPTION] if call.func.attr == "exception" else []
    for keyword in call.keywords:
        if keyword.arg is None:
            fields += _spread(keyword.value, dicts, functions)
        else:
            fields.append(EXCEPTION if keyword.arg == "exc_info" else keyword.arg)
    return Line(action.value, levels, tuple(fields), source)


def _spread(
    value: ast.expr, dicts: Mapping[str, Sequence[str]], functions: Mapping[str, ast.FunctionDef]
) -> Sequence[str]:
    """Return the fields of `**value`: a dictionary that this function, or the one that it asks for it, writes out."""
    if isinstance(value, ast.Name) and value.id in dicts:
        return dicts[value.id]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in functions:
        returned = [each.value for each in ast.walk(functions[value.func.id]) if isinstance(each, ast.Return)]
        if len(returned) == 1 and isinstance(returned[0], ast.Dict):
            return _keys(returned[0])
    raise _HiddenError(f"the fields of `**{ast.unparse(value)}` do not stand in the same function, or in one it asks")


def _dicts_in(scope: ast.AST) -> Mapping[str, Sequence[str]]:
    return {
        each.target.id: _keys(each.value)
        for each in ast.walk(scope)
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and isinstance(each.value, ast.Dict)
    }


def _keys(written: ast.Dict) -> Sequence[str]:
    keys = [key.value for key in written.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    if len(keys) != len(written.keys):
        raise _HiddenError("the names of fields are constants")
    return keys
