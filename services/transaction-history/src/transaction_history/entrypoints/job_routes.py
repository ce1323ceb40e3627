"""The routes of jobs, whatever they are for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Query, Response

from contracts import problems, scopes
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.problems import Problem
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import Sent, answer
from servicekit.http.routes.paging import Page
from servicekit.http.routes.parsing import path_id
from servicekit.idempotency import Answer, Undone
from servicekit.postgres import Transaction
from transaction_history.domain.jobs import JobStatus, Kind
from transaction_history.entrypoints.file_jobs import FileJobs
from transaction_history.entrypoints.job_bodies import JobBody, JobsBody, job_body
from transaction_history.jobs.commands import JobEnded, JobUnknown
from transaction_history.jobs.queries import JobFilter

JOBS: Final = "/v1/history/jobs"
ABOUT_OTHERS: Final = (
    "A caller that acts for some owners alone finds the jobs of callers that acted for none but these, and no other."
)
_OK: Final = 200
_TO_JOB: Final[Sequence[Link]] = tuple(
    (operation, {"job_id": "$response.body#/data/0/id"}) for operation in ("get_job", "cancel_job")
)
job_id_of: Final = path_id(problems.JOB_NOT_FOUND, "There is no such job.")

KindQuery = Annotated[Kind | None, Query(description="Of this kind only.")]
StatusQuery = Annotated[JobStatus | None, Query(description="With this status only.")]


def job_routes(jobs: FileJobs) -> Sequence[Route]:
    """Return the routes of jobs."""
    handlers = _JobHandlers(jobs)
    return (
        Route(
            method="GET",
            path=JOBS,
            handler=handlers.list,
            access=Access(scopes.HISTORY_EXPORT, EACH_ROW, Cost.READ),
            operation_id="list_jobs",
            summary="Jobs, newest first",
            description=ABOUT_OTHERS,
            tags=["jobs"],
            response=JobsBody,
            links=_TO_JOB,
        ),
        Route(
            method="GET",
            path=f"{JOBS}/{{job_id}}",
            handler=handlers.get,
            access=Access(scopes.HISTORY_EXPORT, "{job_id}", Cost.READ),
            operation_id="get_job",
            summary="A job",
            description=ABOUT_OTHERS,
            tags=["jobs"],
            response=JobBody,
            problems=[problems.JOB_NOT_FOUND],
        ),
        Route(
            method="POST",
            path=f"{JOBS}/{{job_id}}/cancel",
            handler=handlers.cancel,
            access=Access(scopes.HISTORY_EXPORT, "{job_id}", Cost.COMMAND),
            operation_id="cancel_job",
            summary="End a job that has not ended, now",
            description=ABOUT_OTHERS,
            tags=["jobs"],
            response=JobBody,
            problems=[problems.JOB_NOT_FOUND, problems.JOB_ENDED],
        ),
    )


@dataclass(frozen=True, slots=True)
class _JobHandlers:
    jobs: FileJobs

    async def list(self, caller: Caller, page: Page, kind: KindQuery = None, status: StatusQuery = None) -> JobsBody:
        return await self.jobs.list(caller, page, JobFilter(kind, status))

    async def get(self, job_id: PathId, caller: Caller) -> JobBody:
        found = await self.jobs.queries.job(caller, job_id_of(job_id))
        if isinstance(found, JobUnknown):
            raise job_id_of.missing(job_id)
        return job_body(found)

    async def cancel(self, job_id: PathId, sent: Sent) -> Response:
        known = job_id_of(job_id)

        async def work(tx: Transaction) -> Answer | Undone[Problem]:
            outcome = await self.jobs.commands.cancel(tx, sent.caller, known)
            match outcome:
                case JobUnknown():
                    return Undone(job_id_of.missing(job_id))
                case JobEnded(job=job):
                    detail = f"The job has ended: {job.status.value}."
                    return Undone(Problem(problems.JOB_ENDED, detail, job_status=job.status.value))
                case _:
                    return answer(_OK, job_body(outcome))

        return await self.jobs.keyed.run(sent, work)
