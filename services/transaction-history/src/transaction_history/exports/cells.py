"""Rows as the database gives them, made cells."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from contracts.envelope import rfc3339
from contracts.events import Private
from contracts.money import format_minor
from contracts.zones import UTC_ZONE, zone_named
from transaction_history.domain.private_text import NO_TEXT
from transaction_history.domain.tables import Cell
from transaction_history.exports.dataset import Column, Form

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Cells:
    """Makes the cells of *columns*; instants are told in *time_zone*."""

    def __init__(self, columns: Sequence[Column], *, time_zone: str) -> None:
        self._tell = instants_of(time_zone)
        self._count = len(columns)
        places = {form: [at for at, column in enumerate(columns) if column.form is form] for form in Form}
        self._money, self._instants = places[Form.MONEY], places[Form.INSTANT]
        self._amounts = places[Form.AMOUNTS]
        self._texts = [(at, columns[at].name) for at in places[Form.PRIVATE]]

    def rows(self, records: Sequence[Any], texts: Sequence[Private]) -> list[list[Cell]]:
        """Return the cells of *records*, whose free text is *texts*: one for each, or none where no column is one."""
        if not self._texts:
            return [self._row(record, NO_TEXT) for record in records]
        return [self._row(record, private) for record, private in zip(records, texts, strict=True)]

    def _row(self, record: Any, private: Private) -> list[Cell]:
        row: list[Any] = list(record[: self._count])
        for at in self._money:
            if row[at] is not None:
                row[at] = format_minor(row[at], record["currency_of_row"])
        for at in self._amounts:
            if row[at] is not None:
                row[at] = _amounts(row[at])
        for at in self._instants:
            if row[at] is not None:
                row[at] = self._tell(row[at])
        for at, name in self._texts:
            row[at] = text_cell(getattr(private, name))
        return row


def _amounts(found: str) -> str:
    """Return JSON of minor units by currency as one of decimals."""
    minors: dict[str, int] = msgspec.json.decode(found)
    return _encode({currency: format_minor(minor, currency) for currency, minor in minors.items()}).decode()


def text_cell(found: object) -> str | None:
    """Return a field of free text as one text: what is no text is JSON."""
    return found if found is None or isinstance(found, str) else _encode(found).decode()


def instants_of(time_zone: str) -> Callable[[datetime], str]:
    """Return what tells instants in *time_zone*, with their offset."""
    if time_zone == UTC_ZONE:
        return rfc3339
    zone = zone_named(time_zone)
    return lambda instant: instant.astimezone(zone).isoformat(timespec="microseconds")
