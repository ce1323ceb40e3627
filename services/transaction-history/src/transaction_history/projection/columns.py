"""From row structs to columns: the fields of a struct are the columns of its table, by name and in order."""

from transaction_history.domain.rows import EntryRow, StateChangeRow, SystemEntryRow, WalletRow

Row = WalletRow | EntryRow | SystemEntryRow | StateChangeRow


def columns_of(row: type[Row]) -> tuple[str, ...]:
    """Return the column names of *row*'s table."""
    return row.__struct_fields__


def selected(row: type[Row]) -> str:
    """Return the columns as a statement lists them."""
    return ", ".join(columns_of(row))
