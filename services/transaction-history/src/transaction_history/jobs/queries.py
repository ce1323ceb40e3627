"""What is asked about jobs and their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from servicekit.postgres import Connection
from servicekit.principal import Principal
from servicekit.tenant_pool import TenantPool
from transaction_history.domain.jobs import JobStatus
from transaction_history.domain.links import LinkName
from transaction_history.jobs.commands import JobUnknown, visible_to
from transaction_history.jobs.rows import COLUMNS, Job, Part, job_of

if TYPE_CHECKING:
    import asyncpg

PIECES_MAX: Final = 10_000
"""More than any job makes."""
_PIECES: Final = """
    select number, object, rows, size_bytes, is_served, after from history_jobs.job_part
    where job_id = $1 and is_served order by number limit $2"""
_LINKED: Final = f"""
    select {COLUMNS}, link.is_open
    from (select job_id, expires_at > now() and revoked_at is null as is_open from history_jobs.link
          where id = $1 and tenant_id = $2) as link
    join (select * from history_jobs.job where tenant_id = $2) as job on job.id = link.job_id"""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are listed."""

    kind: str | None
    status: JobStatus | None


@dataclass(frozen=True, slots=True)
class LinkEnded:
    """The link has expired or was revoked."""


@dataclass(frozen=True, slots=True)
class WithPieces:
    """A job, and the objects that are its file, in order; none unless it has succeeded."""

    job: Job
    pieces: Sequence[Part]


class JobQueries:
    """Answers for one caller at a time: what it may not know of is not there."""

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def jobs(self, caller: Principal, wanted: JobFilter, *, before: UUID | None, limit: int) -> Sequence[Job]:
        """Return up to *limit* jobs, newest first, those older than *before*."""
        asked = visible_to(caller)
        if wanted.kind is not None:
            asked.require(f"kind = {asked.value(wanted.kind)}")
        if wanted.status is not None:
            asked.require(f"status = {asked.value(wanted.status)}")
        asked.before(("id",), None if before is None else (before,))
        query = f"select {COLUMNS} from history_jobs.job {asked} order by id desc limit {asked.value(limit)}"
        async with self._tenants.reading(caller.tenant_id) as connection:
            return [job_of(row) for row in await connection.fetch(query, *asked.values)]

    async def job(self, caller: Principal, job_id: UUID, *, kind: str | None = None) -> Job | JobUnknown:
        """Return a job, which must be of *kind* where one is named."""
        async with self._tenants.reading(caller.tenant_id) as connection:
            return await self._job(connection, caller, job_id, kind)

    async def file(self, caller: Principal, job_id: UUID, *, kind: str) -> WithPieces | JobUnknown:
        """Return a job of *kind* with the pieces of its file."""
        async with self._tenants.reading(caller.tenant_id) as connection:
            found = await self._job(connection, caller, job_id, kind)
            return found if isinstance(found, JobUnknown) else await _with_pieces(connection, found)

    async def linked(self, name: LinkName) -> WithPieces | LinkEnded | JobUnknown:
        """Return the job that the link leads to, with the pieces of its file."""
        async with self._tenants.reading(name.tenant_id) as connection:
            row = await connection.fetchrow(_LINKED, name.link_id, name.tenant_id)
            if row is None:
                return JobUnknown()
            return await _with_pieces(connection, job_of(row)) if row["is_open"] else LinkEnded()

    async def _job(self, connection: Connection, caller: Principal, job_id: UUID, kind: str | None) -> Job | JobUnknown:
        asked = visible_to(caller, job_id)
        if kind is not None:
            asked.require(f"kind = {asked.value(kind)}")
        row = await connection.fetchrow(f"select {COLUMNS} from history_jobs.job {asked}", *asked.values)
        return JobUnknown() if row is None else job_of(row)


async def _with_pieces(connection: Connection, job: Job) -> WithPieces:
    rows: Sequence[asyncpg.Record] = ()
    if job.status is JobStatus.SUCCEEDED:
        rows = await connection.fetch(_PIECES, job.id, PIECES_MAX)
    return WithPieces(job, [Part(**dict(row)) for row in rows])
