"""From row structs to columns: the fields of a struct are the columns of its table, by name and in order."""

from datetime import datetime
from types import NoneType
from typing import Final, get_args, get_type_hints
from uuid import UUID

from transaction_history.domain.rows import EntryRow, StateChangeRow, SystemEntryRow, WalletRow

Row = WalletRow | EntryRow | SystemEntryRow | StateChangeRow

_SQL_TYPES: Final = {UUID: "uuid", str: "text", int: "bigint", datetime: "timestamptz"}


def columns_of(row: type[Row]) -> tuple[str, ...]:
    """Return the column names of *row*'s table."""
    return row.__struct_fields__


def selected(row: type[Row]) -> str:
    """Return the columns as a statement lists them."""
    return ", ".join(columns_of(row))


def insert(table: str, row: type[Row]) -> str:
    """Return the statement that inserts many rows into *table*, given one array per column."""
    hints = get_type_hints(row)
    kinds = [_sql_type(hints[column]) for column in columns_of(row)]
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, 1))
    return f"INSERT INTO {table} ({selected(row)}) SELECT * FROM unnest({arrays})"


def _sql_type(hint: type) -> str:
    (plain,) = [part for part in get_args(hint) or (hint,) if part is not NoneType]
    return _SQL_TYPES[plain]
