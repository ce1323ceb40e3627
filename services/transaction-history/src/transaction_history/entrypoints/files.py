"""Files of jobs as answers: whole, or the range that is asked for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.responses import StreamingResponse

from contracts import problems
from contracts.problems import ProblemCode
from servicekit.http.problems import Problem
from transaction_history.domain.jobs import JobStatus
from transaction_history.domain.ranges import BeyondEnd, ByteRange, range_of
from transaction_history.jobs.objects import Objects
from transaction_history.jobs.queries import WithPieces
from transaction_history.jobs.rows import Job, JobFile, Part

PARTIAL: Final = 206
OK: Final = 200
HEADERS: Final[Mapping[str, str]] = {
    "ETag": "Of the file's bytes: what `If-Range` takes.",
    "Accept-Ranges": "`bytes`: a `Range` of one range is answered with that part, as 206.",
    "Content-Range": "Which part this is, of how many bytes in all.",
    "Content-Disposition": "The file's name.",
}
REFUSALS: Final[Sequence[ProblemCode]] = (
    problems.FILE_NOT_READY,
    problems.NO_FILE,
    problems.FILE_EXPIRED,
    problems.RANGE_NOT_SATISFIABLE,
    problems.UNAVAILABLE,
)
"""What a file is not answered for."""


class Asked:
    """The part of a file that a request asks for."""

    def __init__(self, request: Request) -> None:
        self._range = request.headers.get("range")
        self._if_range = request.headers.get("if-range")

    def part_of(self, size: int, tag: str) -> ByteRange | None:
        """Return the part of a file of *size* bytes, None for all of it; raises BeyondEnd."""
        if self._if_range is not None and self._if_range != tag:
            return None
        return range_of(self._range, size)


AskedPart = Annotated[Asked, Depends(Asked)]


async def file_answer(found: WithPieces, asked: Asked, objects: Objects) -> StreamingResponse:
    """Return the file of a job, or the part of it that is *asked* for; raises Problem where there is none.

    Its first bytes are there before the answer begins: a store that does not answer is told as an error.
    """
    return await part_answer(file_of(found.job), found.pieces, asked, objects)


async def part_answer(file: JobFile, pieces: Sequence[Part], asked: Asked, objects: Objects) -> StreamingResponse:
    """Return *file*, whose bytes are those of *pieces*, or the part of it that is *asked* for."""
    size, tag = file.size_bytes, f'"{file.sha256.hex()}"'
    try:
        part = asked.part_of(size, tag)
    except BeyondEnd:
        detail = f"The file has {size} bytes."
        told = [(b"content-range", b"bytes */%d" % size)]
        raise Problem(problems.RANGE_NOT_SATISFIABLE, detail, headers=told, size_bytes=size) from None
    start, end = part or ByteRange(0, size)
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "private, no-store",
        "content-disposition": f'attachment; filename="{file.name}"',
        "content-length": str(end - start),
        "etag": tag,
    }
    if part is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    data = _bytes(pieces, objects, start, end)
    return StreamingResponse(
        await begun(data),
        status_code=OK if part is None else PARTIAL,
        media_type=file.media_type,
        headers=headers,
    )


def file_of(job: Job) -> JobFile:
    """Return the file of *job*; raises the Problem that there is none."""
    match job.status:
        case JobStatus.SUCCEEDED:
            assert job.file is not None, "a job that has succeeded has made a file"
            return job.file
        case JobStatus.QUEUED | JobStatus.RUNNING:
            raise Problem(problems.FILE_NOT_READY, f"The job is {job.status.value}.", job_status=job.status.value)
        case JobStatus.EXPIRED:
            raise Problem(problems.FILE_EXPIRED, "The file was kept for its days, and is deleted.")
        case _:
            raise Problem(problems.NO_FILE, f"The job has {_ENDED[job.status]}.", job_status=job.status.value)


_ENDED: Final = {JobStatus.FAILED: "failed", JobStatus.CANCELLED: "been cancelled"}


async def begun(data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return *data* once its beginning is there: what fails before is told as an error, and not as a broken answer."""
    return _chained(await anext(data, b""), data)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for data in rest:
        yield data


async def _bytes(pieces: Sequence[Part], objects: Objects, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield the bytes from *start* up to *end* of what *pieces* are one after the other."""
    began = 0
    for piece in pieces:
        ends = began + piece.size_bytes
        if began < end and start < ends:
            async for data in objects.read(piece.object, max(start - began, 0), min(end, ends) - began):
                yield data
        began = ends
