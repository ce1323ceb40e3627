"""How the file of a job is made: part by part, each finished for good before the next begins."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from transaction_history.domain.exports import PART_ROWS, ROWS_MAX
from transaction_history.domain.jobs import Reason
from transaction_history.domain.tables import RowWriter
from transaction_history.exports.source import Chunk, Order, Orders
from transaction_history.exports.workbooks import Workbook
from transaction_history.exports.writing import PartFile, media_type_of, writer_of
from transaction_history.jobs.objects import Objects
from transaction_history.jobs.rows import JobFile, Part
from transaction_history.jobs.working import JobRefused, Work

T = TypeVar("T")

_PREFIX: Final = "history-file-"


@dataclass(frozen=True, slots=True)
class FileMaker:
    """Makes the files that *orders* tells of."""

    orders: Orders
    objects: Objects
    part_rows: int = PART_ROWS

    async def carry_out(self, work: Work) -> JobFile:
        """Make the file of *work*'s job, from where former attempts left it."""
        threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=_PREFIX)
        try:
            with TemporaryDirectory(prefix=_PREFIX) as folder:
                return await _Attempt(self, work, await self.orders.order(work), Path(folder), threads).run()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


class _Attempt:
    """One attempt at one file."""

    def __init__(self, maker: FileMaker, work: Work, order: Order, folder: Path, threads: ThreadPoolExecutor) -> None:
        self._maker = maker
        self._work = work
        self._order = order
        self._form = order.form
        self._source = order.source
        self._folder = folder
        self._threads = threads  # one: what the event loop must not wait for, in order

    async def run(self) -> JobFile:
        writer = writer_of(self._form, self._source.heads)
        parts = [*await self._work.parts()]
        self._work.done_rows = sum(part.rows for part in parts)
        while not parts or parts[-1].after is not None:
            parts.append(await self._part(writer, parts))
            if self._work.done_rows > ROWS_MAX:
                raise JobRefused(Reason.TOO_MANY_ROWS)
        if self._form.is_assembled and not parts[-1].is_served:
            parts.append(await self._assembled(parts))
        return await self._described(writer, parts)

    async def _part(self, writer: RowWriter, before: Sequence[Part]) -> Part:
        """Write the part behind *before*, and keep it."""
        number, path = len(before), self._folder / "part"
        after, rows = (before[-1].after if before else None), 0
        file = PartFile(path, is_packed=self._form.gzip or self._form.is_assembled)
        try:
            if number == 0:
                file.write(writer.head())
            async with aclosing(self._chunks(after)) as chunks:
                async for chunk in chunks:
                    self._work.go_on()
                    await self._apart(_write, file, writer, chunk)
                    rows, after = rows + chunk.count, chunk.after
                    self._work.done_rows += chunk.count
        finally:
            size = file.close()
        part = Part(
            number=number,
            object=f"{self._work.name}/{number:06d}",
            rows=rows,
            size_bytes=size,
            is_served=not self._form.is_assembled,
            after=after,
        )
        await self._keep(part, path)
        return part

    async def _chunks(self, after: str | None) -> AsyncGenerator[Chunk, None]:
        """Yield the rows of a part; while one chunk is written, the next is read."""
        room = self._maker.part_rows
        reading = asyncio.create_task(self._source.chunk(after, room))
        try:
            while True:
                chunk = await reading
                room -= chunk.count
                if room == 0 or chunk.after is None:
                    break
                reading = asyncio.create_task(self._source.chunk(chunk.after, room))
                yield chunk
            yield chunk
        finally:
            reading.cancel()

    async def _assembled(self, parts: Sequence[Part]) -> Part:
        """Make the file of *parts*, and keep it as a part that is served."""
        job, path = self._work.job, self._folder / "file"
        with Workbook(
            path,
            self._folder,
            self._source.heads,
            title=self._order.name,
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
            async for data in self._maker.objects.read(part.object, 0, part.size_bytes):
                self._work.go_on()
                file.write(data)
        return path

    async def _keep(self, part: Part, path: Path) -> None:
        self._work.go_on()
        await self._maker.objects.put(part.object, path)
        await self._work.add_part(part)
        await self._apart(path.unlink)

    async def _described(self, writer: RowWriter, parts: Sequence[Part]) -> JobFile:
        """Return what the file is: its bytes are read once more, so that what is told is what is there."""
        job, digest = self._work.job, hashlib.sha256()
        pieces = [part for part in parts if part.is_served]
        for piece in pieces:
            async for data in self._maker.objects.read(piece.object, 0, piece.size_bytes):
                self._work.go_on()
                digest.update(data)
        return JobFile(
            name=f"{self._order.name}-{job.created_at:%Y%m%dT%H%M%SZ}{self._form.extension}",
            media_type=media_type_of(self._form, writer),
            rows=sum(part.rows for part in parts),
            size_bytes=sum(piece.size_bytes for piece in pieces),
            sha256=digest.digest(),
        )


def _write(file: PartFile, writer: RowWriter, chunk: Chunk) -> None:
    file.write(writer.rows(chunk.rows()))
