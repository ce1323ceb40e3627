"""The routes of reports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import Response

from contracts import problems, scopes
from servicekit.access.admission import EVERY_OWNER, Access, Cost
from servicekit.clock import utc_now
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import Sent
from servicekit.http.routes.paging import Page
from servicekit.http.routes.parsing import path_id
from transaction_history.domain.jobs import Kind
from transaction_history.domain.reports import report_text
from transaction_history.entrypoints import files
from transaction_history.entrypoints.file_jobs import FileJobs, FileJobsOfKind
from transaction_history.entrypoints.files import AskedPart
from transaction_history.entrypoints.job_bodies import JobBody, JobsBody
from transaction_history.entrypoints.job_routes import StatusQuery
from transaction_history.entrypoints.report_requests import CreateReport, report_from
from transaction_history.exports.writing import MEDIA_TYPES

REPORTS: Final = "/v1/history/reports"
_REPORT: Final = f"{REPORTS}/{{report_id}}"
_TAGS: Final = ("reports",)
_TO_REPORT: Final[Sequence[Link]] = tuple(
    (name, {"report_id": "$response.body#/id"}) for name in ("get_report", "get_report_file")
)
_FROM_LIST: Final[Sequence[Link]] = (("get_report", {"report_id": "$response.body#/data/0/id"}),)


def report_routes(jobs: FileJobs, now: Callable[[], datetime] = utc_now) -> Sequence[Route]:
    """Return the routes of reports and their files."""
    reports = jobs.of(Kind.REPORT, REPORTS, path_id(problems.REPORT_NOT_FOUND, "There is no such report."))
    handlers = _ReportHandlers(reports, now)
    return (
        Route(
            method="POST",
            path=REPORTS,
            handler=handlers.create,
            access=Access(scopes.HISTORY_REPORT, EVERY_OWNER, Cost.COMMAND),
            operation_id="create_report",
            summary="Have a report on the tenant made",
            description="It is made once all is there that occurred before its end, some 20 s later.",
            tags=_TAGS,
            request=CreateReport,
            response=JobBody,
            status=202,
            problems=[problems.TOO_MANY_JOBS],
            links=_TO_REPORT,
        ),
        Route(
            method="GET",
            path=REPORTS,
            handler=handlers.list,
            access=Access(scopes.HISTORY_REPORT, EVERY_OWNER, Cost.READ),
            operation_id="list_reports",
            summary="Reports, newest first",
            tags=_TAGS,
            response=JobsBody,
            links=_FROM_LIST,
        ),
        Route(
            method="GET",
            path=_REPORT,
            handler=handlers.get,
            access=Access(scopes.HISTORY_REPORT, EVERY_OWNER, Cost.READ),
            operation_id="get_report",
            summary="A report",
            tags=_TAGS,
            response=JobBody,
            problems=[problems.REPORT_NOT_FOUND],
        ),
        Route(
            method="GET",
            path=f"{_REPORT}/file",
            handler=handlers.file,
            access=Access(scopes.HISTORY_REPORT, EVERY_OWNER, Cost.READ),
            operation_id="get_report_file",
            summary="The file of a report, or a range of its bytes",
            tags=_TAGS,
            media_types=MEDIA_TYPES,
            response_headers=files.HEADERS,
            problems=[problems.REPORT_NOT_FOUND, *files.REFUSALS],
        ),
    )


@dataclass(frozen=True, slots=True)
class _ReportHandlers:
    reports: FileJobsOfKind
    now: Callable[[], datetime]

    async def create(self, sent: Sent, body: CreateReport) -> Response:
        return await self.reports.submit(sent, report_text(report_from(body, self.now())))

    async def list(self, caller: Caller, page: Page, status: StatusQuery = None) -> JobsBody:
        return await self.reports.list(caller, page, status)

    async def get(self, report_id: PathId, caller: Caller) -> JobBody:
        return await self.reports.get(caller, report_id)

    async def file(self, report_id: PathId, caller: Caller, asked: AskedPart) -> Response:
        return await self.reports.file(caller, report_id, asked)
