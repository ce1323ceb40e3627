"""Rows as bytes of CSV or JSON lines: for files, and for answers that stream.

A cell is text or None, a whole number, or a truth. A decimal is text of digits, so that none is rounded.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

import msgspec

Cell = str | int | bool | None
_EXECUTED: Final = frozenset("=+-@\t\r")
"""What makes spreadsheets take the text of a cell for a formula."""


class CellKind(Enum):
    """What stands in a column."""

    TEXT = auto()
    """Anything that somebody wrote."""
    CODE = auto()
    """Ids, instants, names of ours."""
    DECIMAL = auto()
    """An amount."""
    NUMBER = auto()
    """A whole number."""
    FLAG = auto()
    """True or false."""


@dataclass(frozen=True, slots=True)
class Head:
    """A column's name, and what stands in it."""

    name: str
    kind: CellKind


class RowWriter(Protocol):
    """Writes rows of the same columns, any number of times."""

    media_type: str

    def head(self) -> bytes:
        """Return what stands before all rows."""
        ...

    def rows(self, rows: Sequence[list[Cell]]) -> bytes:
        """Return *rows*, which it may change."""
        ...


class CsvWriter:
    """Writes CSV (RFC 4180) in UTF-8, with the names of the columns first."""

    media_type = "text/csv; charset=utf-8"

    def __init__(self, heads: Sequence[Head]) -> None:
        self._heads = heads
        self._texts = [place for place, head in enumerate(heads) if head.kind is CellKind.TEXT]
        self._flags = [place for place, head in enumerate(heads) if head.kind is CellKind.FLAG]

    def head(self) -> bytes:
        """Return the line of names."""
        return _csv([[head.name for head in self._heads]])

    def rows(self, rows: Sequence[list[Cell]]) -> bytes:
        """Return *rows*, whose texts are made harmless."""
        for row in rows:
            harmless(row, self._texts)
            for place in self._flags:
                row[place] = flag_text(row[place])
        return _csv(rows)


class JsonLinesWriter:
    """Writes an object per row and line. Amounts are text there, and no text is changed."""

    media_type = "application/jsonl"

    def __init__(self, heads: Sequence[Head]) -> None:
        self._names = [head.name for head in heads]
        self._encode = msgspec.json.Encoder().encode_lines

    def head(self) -> bytes:
        """Return nothing: every line has the names."""
        return b""

    def rows(self, rows: Sequence[list[Cell]]) -> bytes:
        """Return *rows*."""
        return self._encode([dict(zip(self._names, row, strict=True)) for row in rows])


def harmless(row: list[Cell], texts: Sequence[int]) -> None:
    """Put an apostrophe before each of the *texts* of *row* that a spreadsheet would take for a formula."""
    for place in texts:
        cell = row[place]
        if isinstance(cell, str) and cell and cell[0] in _EXECUTED:
            row[place] = f"'{cell}"


def flag_text(cell: Cell) -> Cell:
    """Return a truth as JSON writes it."""
    return None if cell is None else "true" if cell else "false"


def _csv(rows: Sequence[Sequence[Cell]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
