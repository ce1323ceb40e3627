"""Anybody's traffic: CSV rows of `time, from, to, amount, currency`, read one by one."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TextIO
from zlib import crc32

from demo.money import AmountError, to_minor
from demo.operations import Deposit, MoneyCommand, Transfer, Withdrawal

COLUMNS: Final = ("time", "from", "to", "amount", "currency")
EXTERNAL: Final = "external"
NAME_CHARACTERS_MAX: Final = 100  # a wallet is labelled with its name
WATCHED_ONE_IN: Final = 100
WATCHED_MAX: Final = 1_000  # as many as one webhook endpoint may name


class RowError(Exception):
    """A row that is none; the message names its line."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}, line {line}: {why}")


class Row(NamedTuple):
    """One valid row. *line* is where it begins in the file, from 1."""

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

    A first line that names the columns is passed over, so are empty lines; spaces around values do not count.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        yield from islice(_rows(path, text), first)


def _rows(path: Path, text: TextIO) -> Iterator[Row]:
    reader = csv.reader(text, strict=True, skipinitialspace=True)
    line = 1
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise RowError(path, line, str(error)) from error
        if values is None:
            return
        values = [value.strip() for value in values]
        is_header = line == 1 and tuple(value.lower() for value in values) == COLUMNS
        if any(values) and not is_header:
            yield _row(path, line, values)
        line = reader.line_num + 1


def _row(path: Path, line: int, values: list[str]) -> Row:
    if len(values) != len(COLUMNS):
        raise RowError(path, line, f"{len(values)} values where there should be {len(COLUMNS)}: {', '.join(COLUMNS)}")
    row = Row(line, *values)
    why = _wrong_time(row.time) or _wrong_names(row) or _wrong_amount(row)
    if why is not None:
        raise RowError(path, line, why)
    return row


def _wrong_time(text: str) -> str | None:
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
        if len(name) > NAME_CHARACTERS_MAX:
            return f"a name has more than {NAME_CHARACTERS_MAX} characters"
        if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
            return "a name is not UTF-8 text"
    return None


def _wrong_amount(row: Row) -> str | None:
    try:
        to_minor(row.amount, row.currency)
    except AmountError as error:
        return str(error)
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
