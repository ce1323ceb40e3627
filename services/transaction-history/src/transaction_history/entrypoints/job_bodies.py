"""What a client is told of jobs."""

from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel

from contracts.envelope import rfc3339
from contracts.positions import format_position
from transaction_history.entrypoints.parked import ParkedBody, parked_body
from transaction_history.jobs.rows import Job
from transaction_history.reads.view import told_parked


class FileBody(BaseModel):
    """A file that a job has made; *expires_at*: how long it is kept."""

    name: str
    media_type: str
    rows: int
    size_bytes: int
    sha256: str
    expires_at: str


class JobBody(BaseModel):
    """A job. *status* is `queued`, `running`, `succeeded`, `failed`, `cancelled` or `expired`.

    *request* is what was asked for by *subject*. *as_of* is the position up to which rows are taken, null before a
    worker has looked; nothing that occurred before *complete_until* came later. *failure* says why the job failed.
    """

    id: str
    kind: str
    status: str
    request: dict[str, Any]
    subject: str
    attempts: int
    done_rows: int
    as_of: str | None
    complete_until: str | None
    parked: ParkedBody | None
    failure: str | None
    file: FileBody | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class JobsBody(BaseModel):
    """A page of jobs, newest first."""

    data: list[JobBody]
    next_cursor: str | None


class LinkBody(BaseModel):
    """A link to a file. *path* is below this API's address, and is shown here alone: `null` in a replay."""

    path: str | None
    expires_at: str


def job_body(job: Job) -> JobBody:
    """Return *job* as a client sees it."""
    return JobBody(
        id=str(job.id),
        kind=job.kind,
        status=job.status,
        request=msgspec.json.decode(job.request),
        subject=job.subject,
        attempts=job.attempts,
        done_rows=job.done_rows,
        as_of=None if job.snapshot is None else format_position(sorted(job.snapshot.position.items())),
        complete_until=None if job.snapshot is None else _time(job.snapshot.complete_until),
        parked=None if job.snapshot is None else parked_body(told_parked(job.snapshot.parked)),
        failure=job.failure,
        file=_file(job),
        created_at=rfc3339(job.created_at),
        started_at=_time(job.started_at),
        finished_at=_time(job.finished_at),
    )


def _file(job: Job) -> FileBody | None:
    if job.file is None or job.expires_at is None:
        return None
    return FileBody(
        name=job.file.name,
        media_type=job.file.media_type,
        rows=job.file.rows,
        size_bytes=job.file.size_bytes,
        sha256=job.file.sha256.hex(),
        expires_at=rfc3339(job.expires_at),
    )


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
