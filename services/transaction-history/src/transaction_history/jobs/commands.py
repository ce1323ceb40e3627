"""What callers do with jobs, each command in a transaction that its caller has opened."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.ids import new_id
from servicekit.conditions import Where
from servicekit.postgres import Transaction
from servicekit.principal import Principal
from transaction_history.domain.jobs import QUEUED_MAX, JobStatus
from transaction_history.domain.links import LinkName
from transaction_history.jobs.ending_postgres import end
from transaction_history.jobs.rows import COLUMNS, Job, job_of

_HOLD_TENANT: Final = """
    insert into history_jobs.tenant as held (tenant_id, served_at) values ($1, now())
    on conflict (tenant_id) do update set served_at = held.served_at"""
_COUNT: Final = "select count(*) from history_jobs.job where tenant_id = $1 and status = 'queued'"
_ADD: Final = f"""
    insert into history_jobs.job (id, tenant_id, kind, request, subject, scopes, owners, status, due_at, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, 'queued', now(), now()) returning {COLUMNS}"""
_ADD_LINK: Final = """
    insert into history_jobs.link (id, tenant_id, job_id, subject, created_at, expires_at)
    values ($1, $2, $3, $4, now(), now() + make_interval(secs => $5)) returning expires_at"""
_REVOKE: Final = """
    update history_jobs.link set revoked_at = now()
    where job_id = $1 and tenant_id = $2 and revoked_at is null and expires_at > now()"""


@dataclass(frozen=True, slots=True)
class JobUnknown:
    """The caller has no such job."""


@dataclass(frozen=True, slots=True)
class TooManyJobs:
    """The tenant has as many jobs waiting as it may."""


@dataclass(frozen=True, slots=True)
class JobEnded:
    """There is nothing left to cancel of *job*."""

    job: Job


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a job's file."""

    name: LinkName
    expires_at: datetime


def visible_to(caller: Principal, job_id: UUID | None = None) -> Where:
    """Return the conditions of the jobs that *caller* may know of: of its tenant, about owners it acts for alone."""
    asked = Where({"tenant_id": caller.tenant_id, "id": job_id})
    if caller.owners is not None:
        asked.require(f"owners <@ {asked.value(list(caller.owners))}::text[]")
    return asked


class JobCommands:
    """Commands on jobs."""

    async def submit(self, tx: Transaction, caller: Principal, kind: str, request: str) -> Job | TooManyJobs:
        """Have *request* carried out, for whom *caller* is now."""
        await tx.connection.execute(_HOLD_TENANT, caller.tenant_id)
        if await tx.connection.fetchval(_COUNT, caller.tenant_id) >= QUEUED_MAX:
            return TooManyJobs()
        owners = None if caller.owners is None else list(caller.owners)
        row = await tx.connection.fetchrow(
            _ADD, new_id(), caller.tenant_id, kind, request, caller.subject, caller.scopes, owners
        )
        assert row is not None
        return job_of(row)

    async def cancel(self, tx: Transaction, caller: Principal, job_id: UUID) -> Job | JobUnknown | JobEnded:
        """End a job; one that was cancelled before stays so. Its worker writes nothing from now on."""
        found = await self._held(tx, caller, job_id)
        if found is None:
            return JobUnknown()
        if found.status is JobStatus.CANCELLED:
            return found
        if found.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
            return JobEnded(found)
        return await end(tx, found, JobStatus.CANCELLED)

    async def add_link(
        self, tx: Transaction, caller: Principal, job_id: UUID, *, kind: str, expires_in_s: int
    ) -> Link | Job | JobUnknown:
        """Make a link to the file of a job of *kind*; return the job itself where there is no file to link to."""
        found = await self._held(tx, caller, job_id)
        if found is None or found.kind != kind:
            return JobUnknown()
        if found.status is not JobStatus.SUCCEEDED:
            return found
        name = LinkName(caller.tenant_id, new_id())
        expires_at = await tx.connection.fetchval(
            _ADD_LINK, name.link_id, caller.tenant_id, job_id, caller.subject, float(expires_in_s)
        )
        return Link(name, expires_at)

    async def revoke_links(self, tx: Transaction, caller: Principal, job_id: UUID, *, kind: str) -> JobUnknown | None:
        """Have no link to the file of a job of *kind* lead there any longer."""
        found = await self._held(tx, caller, job_id)
        if found is None or found.kind != kind:
            return JobUnknown()
        await tx.connection.execute(_REVOKE, job_id, caller.tenant_id)
        return None

    async def _held(self, tx: Transaction, caller: Principal, job_id: UUID) -> Job | None:
        asked = visible_to(caller, job_id)
        query = f"select {COLUMNS} from history_jobs.job {asked} for no key update"
        row = await tx.connection.fetchrow(query, *asked.values)
        return None if row is None else job_of(row)
