"""Anybody's traffic: CSV rows of `time, from, to, amount, currency`, read one by one."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TextIO
from zlib import crc32

from demo.money import AmountError, to_minor, to_text
from demo.operations import Deposit, MoneyCommand, Transfer, Withdrawal

COLUMNS: Final = ("time", "from", "to", "amount", "currency")
EXTERNAL: Final = "external"
TIME_CHARACTERS_MAX: Final = 64  # a time becomes its operation's description
NAME_CHARACTERS_MAX: Final = 100  # a wallet is labelled with its name
WATCHED_ONE_IN: Final = 100
WATCHED_MAX: Final = 1_000  # as many as one webhook endpoint may name


class RowError(Exception):
    """A row is malformed; the message names its line."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}, line {line}: {why}")


class Row(NamedTuple):
    """One valid row. *line* is where it begins in the file, from 1; *amount* has all of its currency's decimals."""

    line: int
    time: str
    source: str
    target: str
    amount: str
    currency: str

    @property
    def names(self) -> tuple[str, ...]:
        """The wallets that it names."""
        return tuple(name for name in (self.source, self.target) if name != EXTERNAL)

    @property
    def command(self) -> MoneyCommand:
        """What it asks for."""
        note = self.time
        if self.source == EXTERNAL:
            return Deposit(self.target, self.amount, self.currency, note)
        if self.target == EXTERNAL:
            return Withdrawal(self.source, self.amount, self.currency, note)
        return Transfer(self.source, self.target, self.amount, self.currency, note)


def read_rows(path: Path, *, first: int | None = None) -> Iterator[Row]:
    """Give the rows of *path* in order, the *first* ones alone where that is given; raise RowError at a bad one.

    Empty lines are passed over, and so is a first row that names the columns; spaces around values do not count.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        yield from islice(_rows(path, text), first)


def _rows(path: Path, text: TextIO) -> Iterator[Row]:
    reader = csv.reader(text, strict=True, skipinitialspace=True)
    line, is_first = 1, True
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise RowError(path, line, str(error)) from error
        if values is None:
            return
        values = [value.strip() for value in values]
        if any(values):
            if not (is_first and _is_header(values)):
                yield _row(path, line, values)
            is_first = False
        line = reader.line_num + 1


def _is_header(values: list[str]) -> bool:
    return tuple(value.lower() for value in values) == COLUMNS


def _row(path: Path, line: int, values: list[str]) -> Row:
    if len(values) != len(COLUMNS):
        raise RowError(path, line, f"{len(values)} values where there should be {len(COLUMNS)}: {', '.join(COLUMNS)}")
    if _is_header(values):
        raise RowError(path, line, "the columns are named again: they may be in the first row alone")
    row = Row(line, *values)
    why = _wrong_time(row.time) or _wrong_names(row)
    if why is not None:
        raise RowError(path, line, why)
    try:
        return row._replace(amount=to_text(to_minor(row.amount, row.currency), row.currency))
    except AmountError as error:
        raise RowError(path, line, str(error)) from error


def _wrong_time(text: str) -> str | None:
    if len(text) > TIME_CHARACTERS_MAX:
        return f"a time has more than {TIME_CHARACTERS_MAX} characters"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None if text.isascii() and text.isdigit() else f"{text!r} is neither an ISO 8601 time nor Unix seconds"
    return None


def _wrong_names(row: Row) -> str | None:
    if row.source == row.target:
        return f"from and to are both {row.source!r}"
    for name in (row.source, row.target):
        if not name:
            return "from or to is empty"
        if name != EXTERNAL and name.casefold() == EXTERNAL:
            return f"{name!r} is not a wallet: the outside is written {EXTERNAL}"
        if len(name) > NAME_CHARACTERS_MAX:
            return f"a name has more than {NAME_CHARACTERS_MAX} characters"
        if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
            return "a name is not UTF-8 text"
    return None


def survey(rows: Iterable[Row]) -> tuple[int, dict[str, str]]:
    """Return how many *rows* there are, and one wallet in a hundred (WATCHED_MAX at most) with its currency."""
    count, sample = 0, dict[str, str]()
    for row in rows:
        count += 1
        for name in row.names:
            if crc32(name.encode()) % WATCHED_ONE_IN == 0 and len(sample) < WATCHED_MAX:
                sample.setdefault(name, row.currency)
    return count, sample
