"""Statements and settings as they are stored."""

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import msgspec

from transaction_history.domain.closing import FileFormat, Locale, Statement, Terms
from transaction_history.domain.periods import Schedule
from transaction_history.domain.statement import OpenHold, TypeTotal

if TYPE_CHECKING:
    import asyncpg

COLUMNS: Final = tuple(field.name for field in fields(Statement))
"""A statement's fields are the columns of its table, by name."""
_TOTALS: Final = frozenset({"credits", "debits", "fees", "fees_before"})
"""Whole numbers of any size."""
_encode: Final = msgspec.json.Encoder().encode
_types_of: Final = msgspec.json.Decoder(tuple[TypeTotal, ...]).decode
_holds_of: Final = msgspec.json.Decoder(tuple[OpenHold, ...]).decode


def column(statements: Sequence[Statement], name: str) -> list[Any]:
    """Return the values of a column, as they are given to a statement of SQL."""
    values = [getattr(statement, name) for statement in statements]
    if name in _TOTALS:
        return [str(value) for value in values]
    return [json_of(value) for value in values] if name in ("by_type", "holds") else values


def statement_of(record: Sequence[Any]) -> Statement:
    """Return the statement that *record* is, whose columns are COLUMNS."""
    known = dict(zip(COLUMNS, record, strict=True))
    return Statement(
        **{
            **known,
            **{name: int(known[name]) for name in _TOTALS},
            "locale": Locale(known["locale"]),
            "by_type": _types_of(known["by_type"]),
            "holds": _holds_of(known["holds"]),
        }
    )


def terms_of(record: "asyncpg.Record") -> Terms:
    """Return the terms in the columns of a setting, which *record* has."""
    return Terms(
        setting_id=record["id"],
        time_zone=record["time_zone"],
        locale=Locale(record["locale"]),
        schedule=Schedule(record["schedule"]),
        formats=tuple(FileFormat(each) for each in record["formats"]),
    )


def json_of(totals: Sequence[TypeTotal] | Sequence[OpenHold]) -> str:
    """Return *totals*, or holds, as JSON."""
    return _encode(totals).decode()


def totals_of(text: str) -> tuple[TypeTotal, ...]:
    """Return the totals that *text* is."""
    return _types_of(text)
