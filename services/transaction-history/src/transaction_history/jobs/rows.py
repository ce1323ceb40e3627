"""Jobs as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from transaction_history.domain.jobs import JobStatus

if TYPE_CHECKING:
    import asyncpg

COLUMNS: Final = """
    id, tenant_id, kind, request, subject, scopes, owners, status, attempts, done_rows, as_of, parked, complete_until,
    failure,
    file_name, media_type, file_rows, size_bytes, sha256, created_at, started_at, finished_at, expires_at"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A file that a job has made."""

    name: str
    media_type: str
    rows: int
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a job looks at, the same in each of its attempts.

    *as_of* is by shard the sequence up to which rows are taken; the rows of *parked* wallets are left out. Nothing that
    occurred before *complete_until* came later; None where that is not known.
    """

    as_of: tuple[int, ...]
    parked: tuple[UUID, ...]
    complete_until: datetime | None

    @property
    def position(self) -> Mapping[int, int]:
        """The sequences by shard, without shards that had none."""
        return {shard: seq for shard, seq in enumerate(self.as_of) if seq}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job. *request* is JSON; *owners* are those whose rows it may see, None for every owner."""

    id: UUID
    tenant_id: UUID
    kind: str
    request: str
    subject: str
    scopes: int
    owners: tuple[str, ...] | None
    status: JobStatus
    attempts: int
    done_rows: int
    snapshot: Snapshot | None
    failure: str | None
    file: JobFile | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What an attempt has finished for good: an object of *rows*, which is *served* as a piece of the file or is not.

    *after* is the JSON of where the next part goes on, None where there is nothing behind.
    """

    number: int
    object: str
    rows: int
    size_bytes: int
    is_served: bool
    after: str | None


def job_of(row: "asyncpg.Record") -> Job:
    """Return the job that a row of COLUMNS is."""
    made = None
    if row["sha256"] is not None:
        made = JobFile(
            name=row["file_name"],
            media_type=row["media_type"],
            rows=row["file_rows"],
            size_bytes=row["size_bytes"],
            sha256=row["sha256"],
        )
    seen = None
    if row["as_of"] is not None:
        seen = Snapshot(
            as_of=tuple(row["as_of"]), parked=tuple(row["parked"] or ()), complete_until=row["complete_until"]
        )
    return Job(
        **{name: row[name] for name in ("id", "tenant_id", "kind", "request", "subject", "scopes", "attempts")},
        owners=None if row["owners"] is None else tuple(row["owners"]),
        status=JobStatus(row["status"]),
        snapshot=seen,
        file=made,
        **{
            name: row[name]
            for name in ("done_rows", "failure", "created_at", "started_at", "finished_at", "expires_at")
        },
    )
