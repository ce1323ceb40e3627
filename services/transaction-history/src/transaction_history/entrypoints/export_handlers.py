"""What is done with requests about exports."""

from dataclasses import dataclass
from typing import Final

from fastapi import Response

from contracts import problems
from contracts.envelope import rfc3339
from servicekit.http.problems import Problem
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import Sent, answer
from servicekit.http.routes.parsing import path_id
from servicekit.idempotency import Answer, Undone
from servicekit.postgres import Pool, Transaction
from transaction_history.domain.exports import request_text
from transaction_history.domain.jobs import Kind
from transaction_history.domain.links import link_token
from transaction_history.entrypoints.export_requests import CreateExport, CreateLink, request_from
from transaction_history.entrypoints.file_jobs import FileJobs, FileJobsOfKind
from transaction_history.entrypoints.files import AskedPart, file_of
from transaction_history.entrypoints.job_bodies import JobBody, LinkBody
from transaction_history.jobs.commands import JobUnknown, Link

EXPORTS: Final = "/v1/history/exports"
DOWNLOADS: Final = "/v1/history/downloads"
_CREATED: Final = 201
_NO_CONTENT: Final = 204
_export_id: Final = path_id(problems.EXPORT_NOT_FOUND, "There is no such export.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportHandlers:
    """Exports, their files and links; *link_key* signs these."""

    pool: Pool
    jobs: FileJobs
    link_key: bytes

    @property
    def exports(self) -> FileJobsOfKind:
        """The jobs that exports are."""
        return self.jobs.of(Kind.EXPORT, EXPORTS, _export_id)

    async def create(self, sent: Sent, body: CreateExport) -> Response:
        """Have an export made."""
        return await self.exports.submit(sent, request_text(request_from(body)))

    async def get(self, export_id: PathId, caller: Caller) -> JobBody:
        """Tell of an export."""
        return await self.exports.get(caller, export_id)

    async def file(self, export_id: PathId, caller: Caller, asked: AskedPart) -> Response:
        """Answer the file."""
        return await self.exports.file(caller, export_id, asked)

    async def link(self, export_id: PathId, sent: Sent, body: CreateLink) -> Response:
        """Make a link to the file."""
        known = _export_id(export_id)

        async def work(tx: Transaction) -> Answer | Undone[Problem]:
            outcome = await self.jobs.commands.add_link(
                tx, sent.caller, known, kind=Kind.EXPORT, expires_in_s=body.expires_in_s
            )
            if isinstance(outcome, Link):
                told = LinkBody(
                    path=f"{DOWNLOADS}/{link_token(self.link_key, outcome.name)}",
                    expires_at=rfc3339(outcome.expires_at),
                )
                return answer(_CREATED, told, stored=told.model_copy(update={"path": None}))
            if isinstance(outcome, JobUnknown):
                return Undone(_export_id.missing(export_id))
            try:
                file_of(outcome)
            except Problem as problem:
                return Undone(problem)
            raise AssertionError("a job with a file can be linked to")

        return await self.jobs.keyed.run(sent, work, [body.expires_in_s])

    async def revoke(self, export_id: PathId, caller: Caller) -> Response:
        """Revoke the links to the file."""
        known = _export_id(export_id)
        async with self.pool.transaction() as tx:
            outcome = await self.jobs.commands.revoke_links(tx, caller, known, kind=Kind.EXPORT)
        if outcome is not None:
            raise _export_id.missing(export_id)
        return Response(status_code=_NO_CONTENT)
