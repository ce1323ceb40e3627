"""XLSX, assembled from parts: with the memory of one row, and the same bytes for the same rows."""

import gzip
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import msgspec
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from transaction_history.domain.tables import Cell, CellKind, Head, harmless

SHEET_ROWS: Final = 1_000_000
"""Of a sheet, which has room for 1,048,576 with the names of its columns."""
CELL_CHARACTERS_MAX: Final = 32_767
"""What a cell has room for: longer text ends there."""
_LOOKED_EVERY: Final = 2_000
_decode_row: Final = msgspec.json.Decoder(list[Cell]).decode


class _File:
    """A file whose writing ends where *go_on* raises.

    From then on nothing is written and nobody is told: what is left of a workbook that was given up still writes.
    """

    def __init__(self, path: Path, go_on: Callable[[], None]) -> None:
        self._file = path.open("wb")
        self._go_on = go_on

    def write(self, data: bytes) -> int:
        """Write *data*."""
        if self._file.closed:
            return len(data)
        try:
            self._go_on()
        except Exception:
            self._file.close()
            raise
        return self._file.write(data)

    def tell(self) -> int:
        """Return where the file is written."""
        return 0 if self._file.closed else self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on elsewhere."""
        return 0 if self._file.closed else self._file.seek(offset, whence)

    def seekable(self) -> bool:
        """Return that `seek` works."""
        return True

    def flush(self) -> None:
        """Do nothing: closing flushes."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Workbook:
    """A workbook in the making, at *path*; *folder* is for what stands there meanwhile. For one thread at a time.

    *go_on* is asked again and again and ends the work by raising. Numbers are numbers; a program that opens the file
    rounds none of them, for they have fifteen digits at most.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        heads: Sequence[Head],
        *,
        title: str,
        made_at: datetime,
        go_on: Callable[[], None],
    ) -> None:
        self._file = _File(path, go_on)
        self._book = xlsxwriter.Workbook(self._file, {"constant_memory": True, "tmpdir": str(folder)})
        self._book.set_properties({"title": title, "created": made_at.replace(tzinfo=None, microsecond=0)})
        self._title = title
        self._heads = heads
        self._texts = [place for place, head in enumerate(heads) if head.kind is CellKind.TEXT]
        self._go_on = go_on
        self._sheet: Worksheet | None = None
        self._rows = 0

    def add_part(self, path: Path) -> None:
        """Add the rows of a part: gzip of a JSON array per line."""
        with gzip.open(path, "rb") as lines:
            for number, line in enumerate(lines):
                if number % _LOOKED_EVERY == 0:
                    self._go_on()
                self._add(_decode_row(line))

    def write(self) -> int:
        """Write the file; return how many bytes it has."""
        if self._sheet is None:
            self._begin_sheet()
        self._book.close()
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open, be the file written or not."""
        self._file.close()
        for sheet in self._book.worksheets():
            sheet.row_data_fh.close()

    def _add(self, row: list[Cell]) -> None:
        sheet = self._sheet
        if sheet is None or self._rows == SHEET_ROWS:
            sheet = self._begin_sheet()
        self._rows += 1
        harmless(row, self._texts)
        at = self._rows
        for place, (head, cell) in enumerate(zip(self._heads, row, strict=True)):
            if cell is None:
                continue
            if head.kind in (CellKind.DECIMAL, CellKind.NUMBER):
                sheet.write_number(at, place, float(cell))
            elif head.kind is CellKind.FLAG:
                sheet.write_boolean(at, place, bool(cell))
            else:
                sheet.write_string(at, place, str(cell)[:CELL_CHARACTERS_MAX])

    def _begin_sheet(self) -> Worksheet:
        number = len(self._book.worksheets()) + 1
        sheet = self._sheet = self._book.add_worksheet(f"{self._title} {number}")
        for place, head in enumerate(self._heads):
            sheet.write_string(0, place, head.name)
        self._rows = 0
        return sheet
