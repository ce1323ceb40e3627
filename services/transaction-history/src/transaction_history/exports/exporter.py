"""How an export is carried out: part by part, each finished for good before the next begins."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from contracts.events import Private
from transaction_history.domain.exports import PART_ROWS, ROWS_MAX, request_of
from transaction_history.domain.jobs import Reason
from transaction_history.domain.private_text import PrivateText, Sealed, stored_private
from transaction_history.domain.tables import Cell, RowWriter
from transaction_history.exports.cells import Cells
from transaction_history.exports.datasets import DATASETS
from transaction_history.exports.plan import Plan
from transaction_history.exports.reading_postgres import Chunk, ExportReader
from transaction_history.exports.workbooks import Workbook
from transaction_history.exports.writing import PartFile, media_type_of, writer_of
from transaction_history.jobs.objects import Objects
from transaction_history.jobs.rows import JobFile, Part
from transaction_history.jobs.working import JobRefused, Work

T = TypeVar("T")

_PREFIX: Final = "history-export-"


@dataclass(frozen=True, slots=True)
class Exporter:
    """Carries exports out; free text is read through *private*."""

    reader: ExportReader
    objects: Objects
    private: PrivateText
    part_rows: int = PART_ROWS

    async def carry_out(self, work: Work) -> JobFile:
        """Make the file of *work*'s job, from where former attempts left it."""
        threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=_PREFIX)
        try:
            with TemporaryDirectory(prefix=_PREFIX) as folder:
                return await _Attempt(self, work, Path(folder), threads).run()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


class _Attempt:
    """One attempt at one export."""

    def __init__(self, exporter: Exporter, work: Work, folder: Path, threads: ThreadPoolExecutor) -> None:
        self._exporter = exporter
        self._work = work
        self._folder = folder
        self._threads = threads  # one: what the event loop must not wait for, in order
        self._request = request_of(work.job.request)

    async def run(self) -> JobFile:
        plan = await self._plan()
        writer = writer_of(self._request, [column.head for column in plan.columns])
        parts = [*await self._work.parts()]
        self._work.done_rows = sum(part.rows for part in parts)
        while not parts or parts[-1].after is not None:
            parts.append(await self._part(plan, writer, parts))
            if self._work.done_rows > ROWS_MAX:
                raise JobRefused(Reason.TOO_MANY_ROWS)
        if self._request.is_assembled and not parts[-1].is_served:
            parts.append(await self._assembled(plan, parts))
        return await self._described(writer, parts)

    async def _plan(self) -> Plan:
        """Return the statements, which look at what the first attempt saw."""
        job = self._work.job
        seen = job.snapshot
        if seen is None:
            seen = await self._exporter.reader.look(job.tenant_id)
            await self._work.look_at(seen)
        dataset = DATASETS[self._request.dataset]
        return Plan(dataset, self._request, tenant_id=job.tenant_id, owners=job.owners, seen=seen)

    async def _part(self, plan: Plan, writer: RowWriter, before: Sequence[Part]) -> Part:
        """Write the part behind *before*, and keep it."""
        number, path = len(before), self._folder / "part"
        after, rows = (before[-1].after if before else None), 0
        file = PartFile(path, is_packed=self._request.gzip or self._request.is_assembled)
        cells = Cells(plan.columns, time_zone=self._request.time_zone)
        try:
            if number == 0:
                file.write(writer.head())
            async with aclosing(self._chunks(plan, after)) as chunks:
                async for chunk in chunks:
                    self._work.go_on()
                    texts = await self._texts(plan, chunk)
                    await self._apart(_write, file, writer, partial(cells.rows, chunk.records, texts))
                    rows, after = rows + len(chunk.records), chunk.after
                    self._work.done_rows += len(chunk.records)
        finally:
            size = file.close()
        part = Part(
            number=number,
            object=f"{self._work.name}/{number:06d}",
            rows=rows,
            size_bytes=size,
            is_served=not self._request.is_assembled,
            after=after,
        )
        await self._keep(part, path)
        return part

    async def _texts(self, plan: Plan, chunk: Chunk) -> Sequence[Private]:
        """Return the free text of a chunk's rows, where there is a column of it."""
        if not plan.has_private:
            return ()
        tenant_id = self._work.job.tenant_id
        sealed = [
            Sealed(tenant_id, record["owner_of_row"], stored_private(record["private"])) for record in chunk.records
        ]
        return await self._exporter.private.opened(sealed)

    async def _chunks(self, plan: Plan, after: str | None) -> AsyncGenerator[Chunk, None]:
        """Yield the rows of a part; while one chunk is written, the next is read."""
        reader, tenant_id = self._exporter.reader, self._work.job.tenant_id
        room = self._exporter.part_rows
        reading = asyncio.create_task(reader.chunk(tenant_id, plan, after, room))
        try:
            while True:
                chunk = await reading
                room -= len(chunk.records)
                if room == 0 or chunk.after is None:
                    break
                reading = asyncio.create_task(reader.chunk(tenant_id, plan, chunk.after, room))
                yield chunk
            yield chunk
        finally:
            reading.cancel()

    async def _assembled(self, plan: Plan, parts: Sequence[Part]) -> Part:
        """Make the file of *parts*, and keep it as a part that is served."""
        job, path = self._work.job, self._folder / "file"
        with Workbook(
            path,
            self._folder,
            [column.head for column in plan.columns],
            title=self._request.dataset,
            made_at=job.created_at,
            go_on=self._work.go_on,
        ) as book:
            for part in parts:
                await self._apart(book.add_part, await self._fetched(part))
            size = await self._apart(book.write)
        whole = Part(
            number=len(parts),
            object=f"{self._work.name}/{len(parts):06d}",
            rows=0,  # counted where they were read
            size_bytes=size,
            is_served=True,
            after=None,
        )
        await self._keep(whole, path)
        return whole

    async def _apart(self, work: Callable[..., T], *given: Any) -> T:
        """Return what *work* does in the attempt's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    async def _fetched(self, part: Part) -> Path:
        path = self._folder / "fetched"
        with path.open("wb") as file:
            async for data in self._exporter.objects.read(part.object, 0, part.size_bytes):
                self._work.go_on()
                file.write(data)
        return path

    async def _keep(self, part: Part, path: Path) -> None:
        self._work.go_on()
        await self._exporter.objects.put(part.object, path)
        await self._work.add_part(part)
        await self._apart(path.unlink)

    async def _described(self, writer: RowWriter, parts: Sequence[Part]) -> JobFile:
        """Return what the file is: its bytes are read once more, so that what is told is what is there."""
        job, digest = self._work.job, hashlib.sha256()
        pieces = [part for part in parts if part.is_served]
        for piece in pieces:
            async for data in self._exporter.objects.read(piece.object, 0, piece.size_bytes):
                self._work.go_on()
                digest.update(data)
        return JobFile(
            name=f"{self._request.dataset}-{job.created_at:%Y%m%dT%H%M%SZ}{self._request.extension}",
            media_type=media_type_of(self._request, writer),
            rows=sum(part.rows for part in parts),
            size_bytes=sum(piece.size_bytes for piece in pieces),
            sha256=digest.digest(),
        )


def _write(file: PartFile, writer: RowWriter, rows: Callable[[], list[list[Cell]]]) -> None:
    file.write(writer.rows(rows()))
