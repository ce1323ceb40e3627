"""From row structs to columns: the fields of a struct are the columns of its table, by name and in order."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from transaction_history.domain.rows import (
    BalanceDayRow,
    EntryRow,
    HoldRow,
    StateChangeRow,
    SystemEntryRow,
    TransactionRow,
    WalletRow,
)

Row = WalletRow | EntryRow | SystemEntryRow | StateChangeRow | TransactionRow | HoldRow | BalanceDayRow
R = TypeVar("R", bound=Row)


def columns_of(row: type[Row]) -> tuple[str, ...]:
    """Return the column names of *row*'s table."""
    return row.__struct_fields__


def selected(row: type[Row]) -> str:
    """Return the columns as a statement lists them."""
    return ", ".join(columns_of(row))


def row_of(row: type[R], record: Iterable[Any]) -> R:
    """Return *record*, which has the columns of *row*'s table, as one."""
    return row(*map(_known, record))


def transaction_of(record: Iterable[Any]) -> TransactionRow:
    """Return *record*, which has a transaction's columns, as one."""
    known = dict(zip(columns_of(TransactionRow), map(_known, record), strict=True))
    return TransactionRow(**{**known, "amounts": msgspec.json.decode(known["amounts"], type=dict[str, int])})


def _known(value: Any) -> Any:
    """Return *value* as rows have it: totals are whole numbers of any size, lists do not change."""
    if isinstance(value, Decimal):
        return int(value)
    return tuple(value) if isinstance(value, list) else value
