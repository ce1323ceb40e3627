"""Files of statements: the queue of what is to be made, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from contracts.ids import new_id
from servicekit.postgres import Pool, Transaction
from transaction_history.domain.closing import FileFormat, Locale, Statement
from transaction_history.domain.jobs import ATTEMPTS_MAX, GivenUp, JobStatus, Reason, after_failure
from transaction_history.statements.rows import COLUMNS, statement_of

if TYPE_CHECKING:
    import asyncpg

TAKEN_MAX: Final = 4
"""Files that a worker takes at a time, all of one tenant: seconds of work."""
LEASE_S: Final = 120.0
"""For the longest table; whoever takes longer writes nothing."""
ASKED_MAX: Final = 100
"""Files of a tenant that somebody waits for."""
DIFFERENCE: Final = "difference"
"""Why a file has failed that came out otherwise than before: it is not made again."""

FILE_COLUMNS: Final = """
    f.statement_id, f.issue, f.format, f.volume, f.tenant_id, f.status, f.attempts, f.failure, f.object, f.size_bytes,
    f.sha256, f.template_version, f.expires_at"""
_IS_DUE: Final = "(f.status = 'queued' and f.due_at <= now() or f.status = 'running' and f.leased_until <= now())"
_NEXT_TENANT: Final = f"""
    select t.tenant_id from history_jobs.statement_tenant t
    where exists (select from history_jobs.statement_file f
                  where f.tenant_id = t.tenant_id and f.status in ('queued', 'running') and {_IS_DUE})
    order by t.served_at, t.tenant_id limit 1 for no key update of t skip locked"""
_TAKE: Final = f"""
    with due as materialized (
        select f.statement_id, f.issue, f.format, f.volume from history_jobs.statement_file f
        where f.tenant_id = $1 and f.status in ('queued', 'running') and {_IS_DUE}
        order by f.is_asked desc, f.due_at limit $4 for update skip locked)
    update history_jobs.statement_file f
    set status = 'running', attempts = f.attempts + 1, lease_token = $2,
        leased_until = clock_timestamp() + make_interval(secs => $3)
    from due where (f.statement_id, f.issue, f.format, f.volume)
                 = (due.statement_id, due.issue, due.format, due.volume)
    returning {FILE_COLUMNS}"""
_SERVED: Final = "update history_jobs.statement_tenant set served_at = clock_timestamp() where tenant_id = $1"
_TOLD: Final = f"""
    select coalesce(i.locale, s.locale) as told_in, n.issue as told_issue, {", ".join(f"s.{name}" for name in COLUMNS)}
    from unnest($1::uuid[], $2::smallint[]) as n (statement_id, issue)
    join history_jobs.statement s on s.id = n.statement_id and s.tenant_id = $3
    left join history_jobs.statement_issue i on i.statement_id = n.statement_id and i.issue = n.issue"""
_THIS: Final = "(statement_id, issue, format, volume, lease_token) = ($1, $2, $3, $4, $5)"
_SUCCEED: Final = f"""
    update history_jobs.statement_file
    set status = 'succeeded', lease_token = null, leased_until = null, is_asked = false, failure = null, object = $6,
        size_bytes = $7, sha256 = $8, template_version = $9, unknown_characters = $10, finished_at = now(),
        expires_at = now() + make_interval(days => $11)
    where {_THIS}"""
_FAIL: Final = f"""
    update history_jobs.statement_file
    set status = 'failed', lease_token = null, leased_until = null, is_asked = false, failure = $6, finished_at = now()
    where {_THIS}"""
_WAIT: Final = f"""
    update history_jobs.statement_file
    set status = 'queued', lease_token = null, leased_until = null, attempts = $6, due_at = now() + $7::interval
    where {_THIS}"""
# What has failed for good stays so; what has expired is made again when its object is gone.
_ASK: Final = f"""
    insert into history_jobs.statement_file as f
        (statement_id, issue, format, volume, tenant_id, status, is_asked, due_at)
    values ($1, $2, $3, $4, $5, 'queued', true, now())
    on conflict (statement_id, issue, format, volume) do update
        set is_asked = true,
            status = case when f.status in ('expired', 'failed') then 'queued' else f.status end,
            attempts = case when f.status in ('expired', 'failed') then 0 else f.attempts end,
            due_at = case when f.status in ('expired', 'failed') then now() else f.due_at end
        where f.status = 'queued' and not f.is_asked or f.status = 'expired' and f.object is null
           or f.status = 'failed' and f.failure <> '{DIFFERENCE}'"""
_SERVE: Final = """
    insert into history_jobs.statement_tenant (tenant_id, served_at) values ($1, '-infinity') on conflict do nothing"""
_ASKED: Final = """
    select count(*) from history_jobs.statement_file
    where tenant_id = $1 and is_asked and status in ('queued', 'running')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFile:
    """A volume of a statement's issue as a file; *sha256* and *template_version* are of when it was last made."""

    statement_id: UUID
    issue: int
    format: FileFormat
    volume: int
    tenant_id: UUID
    status: JobStatus
    attempts: int
    failure: str | None
    object: str | None
    size_bytes: int | None
    sha256: bytes | None
    template_version: int | None
    expires_at: datetime | None

    @property
    def folder(self) -> str:
        """What the names of all objects begin with that were ever made of it."""
        return f"{self.tenant_id}/statements/{self.statement_id}/{self.issue}-{self.format}-{self.volume}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFile:
    """A file that was made, and is in the store."""

    object: str
    size_bytes: int
    sha256: bytes
    template_version: int
    unknown_characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenFile:
    """A file that this worker makes, of *statement* told in *locale*; *token* fences what is written of it."""

    file: StatementFile
    statement: Statement
    locale: Locale
    token: UUID


class LeaseGone(Exception):
    """Another makes the file by now: nothing was written."""


class FileQueue:
    """Takes files to be made, of the tenant that waited longest first; files are kept *kept_days*."""

    def __init__(self, pool: Pool, *, kept_days: int) -> None:
        self._pool = pool
        self._kept_days = kept_days

    async def take(self) -> Sequence[TakenFile]:
        """Take some files that are due, those first that somebody waits for; none where there are none.

        One whose workers died too often fails instead.
        """
        async with self._pool.transaction() as tx:
            tenant_id = await tx.connection.fetchval(_NEXT_TENANT)
            if tenant_id is None:
                return ()
            token = new_id()
            rows = await tx.connection.fetch(_TAKE, tenant_id, token, LEASE_S, TAKEN_MAX)
            await tx.connection.execute(_SERVED, tenant_id)
            files = [file_of(row) for row in rows]
            for file in files:
                if file.attempts > ATTEMPTS_MAX:
                    await tx.connection.execute(_FAIL, *_names(file), token, Reason.WORKER_LOST)
            return await _told(tx, [file for file in files if file.attempts <= ATTEMPTS_MAX], tenant_id, token)

    async def succeed(self, taken: TakenFile, made: MadeFile) -> None:
        """Tell that the file is there; raises LeaseGone."""
        values = (made.object, made.size_bytes, made.sha256, made.template_version, made.unknown_characters)
        await self._write(taken, _SUCCEED, *values, self._kept_days)

    async def refuse(self, taken: TakenFile) -> None:
        """Tell that the file differs from what it was; raises LeaseGone."""
        await self._write(taken, _FAIL, DIFFERENCE)

    async def fail(self, taken: TakenFile, reason: Reason) -> None:
        """End an attempt, and the last one for good; raises LeaseGone."""
        step = after_failure(reason, taken.file.attempts)
        if isinstance(step, GivenUp):
            await self._write(taken, _FAIL, step.reason)
        else:
            await self._write(taken, _WAIT, taken.file.attempts, step.delay)

    async def give_back(self, taken: TakenFile) -> None:
        """Have another worker make the file, at once: this attempt does not count; raises LeaseGone."""
        await self._write(taken, _WAIT, taken.file.attempts - 1, timedelta())

    async def _write(self, taken: TakenFile, query: str, *values: object) -> None:
        async with self._pool.connection() as connection:
            status = await connection.execute(query, *_names(taken.file), taken.token, *values)
        if status != "UPDATE 1":
            raise LeaseGone


async def ask(tx: Transaction, statement: Statement, issue: int, kind: FileFormat, volume: int) -> bool:
    """Have a file made that somebody waits for; return whether it will be: not where as many wait as may."""
    if await tx.connection.fetchval(_ASKED, statement.tenant_id) >= ASKED_MAX:
        return False
    await tx.connection.execute(_SERVE, statement.tenant_id)
    await tx.connection.execute(_ASK, statement.id, issue, kind, volume, statement.tenant_id)
    return True


def file_of(row: "asyncpg.Record") -> StatementFile:
    """Return the file that a row of FILE_COLUMNS is."""
    known = {**dict(row), "format": FileFormat(row["format"]), "status": JobStatus(row["status"])}
    return StatementFile(**known)


async def _told(tx: Transaction, files: Sequence[StatementFile], tenant_id: UUID, token: UUID) -> Sequence[TakenFile]:
    ids, issues = [file.statement_id for file in files], [file.issue for file in files]
    found = {(row["id"], row["told_issue"]): row for row in await tx.connection.fetch(_TOLD, ids, issues, tenant_id)}
    taken = []
    for file in files:
        told_in, _, *columns = found[file.statement_id, file.issue]
        taken.append(TakenFile(file=file, statement=statement_of(columns), locale=Locale(told_in), token=token))
    return taken


def _names(file: StatementFile) -> tuple[Any, ...]:
    return file.statement_id, file.issue, file.format, file.volume
