"""What is done with requests about jobs that make files, whatever of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import Response

from contracts import problems
from servicekit.http.problems import Problem
from servicekit.http.routes.keyed import KeyedCommands, Sent, answer
from servicekit.http.routes.paging import PageRequest, paged
from servicekit.http.routes.parsing import PathIdReader
from servicekit.idempotency import Answer, Undone
from servicekit.postgres import Transaction
from servicekit.principal import Principal
from transaction_history.domain.jobs import JobStatus, Kind
from transaction_history.entrypoints.files import Asked, file_answer
from transaction_history.entrypoints.job_bodies import JobBody, JobsBody, job_body
from transaction_history.jobs.commands import JobCommands, JobUnknown, TooManyJobs
from transaction_history.jobs.objects import Objects
from transaction_history.jobs.queries import JobFilter, JobQueries
from transaction_history.jobs.rows import Job

WAIT_S: Final = 30
"""After which one of a hundred jobs may have begun."""
_ACCEPTED: Final = 202


@dataclass(frozen=True, slots=True, kw_only=True)
class FileJobs:
    """Jobs, and the files that they make."""

    keyed: KeyedCommands
    commands: JobCommands
    queries: JobQueries
    objects: Objects

    def of(self, kind: Kind, path: str, id_of: PathIdReader) -> "FileJobsOfKind":
        """Return those of *kind*, which stand under *path*; *id_of* reads their ids."""
        return FileJobsOfKind(self, kind, path, id_of)

    async def list(self, caller: Principal, page: PageRequest, wanted: JobFilter) -> JobsBody:
        """Answer a page of jobs."""
        asked = paged(page, UUID, "history_jobs", caller.tenant_id, caller.owners, wanted)
        found: Sequence[Job] = await self.queries.jobs(caller, wanted, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda job: job.id)
        return JobsBody(data=[job_body(job) for job in shown.rows], next_cursor=shown.next_cursor)


@dataclass(frozen=True, slots=True)
class FileJobsOfKind:
    """Jobs of one kind."""

    jobs: FileJobs
    kind: Kind
    path: str
    id_of: PathIdReader

    async def submit(self, sent: Sent, text: str) -> Response:
        """Have what *text* says carried out."""

        async def work(tx: Transaction) -> Answer | Undone[Problem]:
            outcome = await self.jobs.commands.submit(tx, sent.caller, self.kind, text)
            if isinstance(outcome, TooManyJobs):
                detail = "The tenant has as many jobs waiting as it may; nothing was done."
                return Undone(Problem(problems.TOO_MANY_JOBS, detail, retry_after_s=WAIT_S))
            return answer(_ACCEPTED, job_body(outcome), location=f"{self.path}/{outcome.id}")

        return await self.jobs.keyed.run(sent, work, [text])

    async def list(self, caller: Principal, page: PageRequest, status: JobStatus | None) -> JobsBody:
        """Answer a page of them."""
        return await self.jobs.list(caller, page, JobFilter(self.kind, status))

    async def get(self, caller: Principal, job_id: str) -> JobBody:
        """Tell of one."""
        found = await self.jobs.queries.job(caller, self.id_of(job_id), kind=self.kind)
        if isinstance(found, JobUnknown):
            raise self.id_of.missing(job_id)
        return job_body(found)

    async def file(self, caller: Principal, job_id: str, asked: Asked) -> Response:
        """Answer the file of one."""
        found = await self.jobs.queries.file(caller, self.id_of(job_id), kind=self.kind)
        if isinstance(found, JobUnknown):
            raise self.id_of.missing(job_id)
        return await file_answer(found, asked, self.jobs.objects)
