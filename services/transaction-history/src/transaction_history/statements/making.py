"""Making files of statements: lines are read, rendered apart from the event loop, and kept where files are."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from contracts.money import exponent_of, format_minor
from transaction_history.domain.closing import FileFormat, volumes_of
from transaction_history.domain.statement import StatementFigures, StatementLine
from transaction_history.domain.tables import Cell, CellKind, CsvWriter, Head
from transaction_history.exports.cells import instants_of
from transaction_history.jobs.objects import Objects
from transaction_history.rendering import LINES_PER_VOLUME, TEMPLATE_VERSION, render
from transaction_history.statements.files_postgres import MadeFile, TakenFile
from transaction_history.statements.lines_postgres import LineReader

T = TypeVar("T")

CSV_VERSION: Final = 1
"""Of the table's columns, as TEMPLATE_VERSION is of the document's look."""
MEDIA_TYPES: Final = {FileFormat.PDF: "application/pdf", FileFormat.CSV: CsvWriter.media_type}
PREFIX: Final = "history-statement-"
HEADS: Final = (
    Head("occurred_at", CellKind.CODE),
    Head("version", CellKind.NUMBER),
    Head("transaction_type", CellKind.CODE),
    Head("type", CellKind.CODE),
    Head("description", CellKind.TEXT),
    Head("reference", CellKind.TEXT),
    Head("counterparty", CellKind.CODE),
    Head("amount", CellKind.DECIMAL),
    Head("fee", CellKind.DECIMAL),
    Head("balance_after", CellKind.DECIMAL),
    Head("currency", CellKind.CODE),
)


@dataclass(frozen=True, slots=True)
class StatementMaker:
    """Makes files of statements."""

    reader: LineReader
    objects: Objects

    async def make(self, taken: TakenFile, threads: Executor) -> MadeFile:
        """Make the file and keep it under a name of this attempt; raises operational errors.

        What the event loop must not wait for is done in *threads*.
        """
        with TemporaryDirectory(prefix=PREFIX) as folder:
            return await self._kept(taken, Path(folder) / "file", threads)

    async def _kept(self, taken: TakenFile, path: Path, threads: Executor) -> MadeFile:
        async def apart(work: Callable[..., T], *given: Any) -> T:
            return await asyncio.get_running_loop().run_in_executor(threads, work, *given)

        if taken.file.format is FileFormat.PDF:
            version, unknown = TEMPLATE_VERSION, await self._document(taken, path, apart)
        else:
            version, unknown = CSV_VERSION, await self._table(taken, path, apart)
        size, digest = await apart(_described, path)
        name = f"{taken.file.folder}{taken.token.hex}"
        await self.objects.put(name, path)
        return MadeFile(
            object=name, size_bytes=size, sha256=digest, template_version=version, unknown_characters=unknown
        )

    async def _document(self, taken: TakenFile, path: Path, apart: Callable[..., Any]) -> int:
        """Write a volume as PDF; return how many of its characters no font has."""
        statement, volume = taken.statement, taken.file.volume
        lines: list[StatementLine] = []
        begin = (volume - 1) * LINES_PER_VOLUME
        async for chunk in self.reader.chunks(statement, begin, begin + LINES_PER_VOLUME):
            lines += chunk
        volumes = volumes_of(statement.entries, FileFormat.PDF, LINES_PER_VOLUME)
        figures = figures_of(taken, await self.reader.label(statement))
        rendered = await apart(render, figures, lines, volume, volumes)
        await apart(path.write_bytes, rendered.pdf)
        unknown: int = rendered.unknown_characters
        return unknown

    async def _table(self, taken: TakenFile, path: Path, apart: Callable[..., Any]) -> int:
        """Write all lines as CSV; return 0."""
        writer, statement = CsvWriter(HEADS), taken.statement
        cells = _Cells(statement.time_zone, statement.currency)
        with path.open("wb") as file:
            file.write(writer.head())
            async for chunk in self.reader.chunks(statement, 0, statement.entries):
                file.write(await apart(lambda lines: writer.rows(cells.rows(lines)), chunk))
        return 0


class _Cells:
    def __init__(self, time_zone: str, currency: str) -> None:
        self._tell = instants_of(time_zone)
        self._currency = currency

    def rows(self, lines: Sequence[StatementLine]) -> list[list[Cell]]:
        """Return the cells of *lines*."""
        return [
            [
                *(self._tell(line.occurred_at), line.version, line.transaction_type, line.event_type),
                *(line.description, line.reference, line.counterparty),
                *(format_minor(each, self._currency) for each in (line.amount, line.fee, line.balance_after)),
                self._currency,
            ]
            for line in lines
        ]


def figures_of(taken: TakenFile, label: str | None) -> StatementFigures:
    """Return what a statement's issue tells; *label* is what the wallet is called."""
    statement = taken.statement
    names = [
        name for name in StatementFigures.__dataclass_fields__ if name not in ("label", "exponent", "locale", "issue")
    ]
    return StatementFigures(
        **{name: getattr(statement, name) for name in names},
        label=label,
        exponent=exponent_of(statement.currency),
        locale=taken.locale,
        issue=taken.file.issue,
    )


def _described(path: Path) -> tuple[int, bytes]:
    """Return the size and the SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return path.stat().st_size, digest
