"""Parts of files, on their way to the store."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from transaction_history.domain.exports import FileForm, Format
from transaction_history.domain.tables import Cell, CsvWriter, Head, JsonLinesWriter, RowWriter

GZIP_LEVEL: Final = 6
GZIP_TYPE: Final = "application/gzip"
XLSX_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: Final = (CsvWriter.media_type, JsonLinesWriter.media_type, GZIP_TYPE, XLSX_TYPE)
"""Of files."""


class _Kept:
    """Rows as the assembling of a file reads them: a JSON array per line."""

    media_type = "application/jsonl"

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode_lines

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def rows(self, rows: Sequence[list[Cell]]) -> bytes:
        """Return *rows*."""
        return self._encode(rows)


def writer_of(form: FileForm, heads: Sequence[Head]) -> RowWriter:
    """Return what writes the parts of a file of that *form*."""
    match form.format:
        case Format.CSV:
            return CsvWriter(heads)
        case Format.JSONL:
            return JsonLinesWriter(heads)
        case Format.XLSX:
            return _Kept()


def media_type_of(form: FileForm, writer: RowWriter) -> str:
    """Return the media type of a file of that *form*."""
    if form.format is Format.XLSX:
        return XLSX_TYPE
    return GZIP_TYPE if form.gzip else writer.media_type


class PartFile:
    """A part as a file on this machine: plain, or whole members of gzip. The same rows give the same bytes."""

    def __init__(self, path: Path, *, is_packed: bool) -> None:
        self._file = path.open("wb")
        self._packed = gzip.GzipFile("", "wb", GZIP_LEVEL, self._file, mtime=0) if is_packed else None

    def write(self, data: bytes) -> None:
        """Add *data*."""
        into: IO[bytes] | gzip.GzipFile = self._file if self._packed is None else self._packed
        into.write(data)

    def close(self) -> int:
        """End the part; return how many bytes it has."""
        try:
            if self._packed is not None:
                self._packed.close()
            self._file.flush()
            return self._file.tell()
        finally:
            self._file.close()
