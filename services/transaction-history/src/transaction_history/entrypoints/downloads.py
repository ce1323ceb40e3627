"""The page that links lead to: whoever has a link gets the file, and asks for no other credential."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from contracts import problems
from servicekit.http.openapi.responses import BYTES, declared
from servicekit.http.problems import Problem
from transaction_history.domain.links import TOKEN_CHARACTERS, named_by
from transaction_history.entrypoints import files
from transaction_history.entrypoints.export_handlers import DOWNLOADS
from transaction_history.entrypoints.files import AskedPart, file_answer
from transaction_history.exports.writing import MEDIA_TYPES
from transaction_history.jobs.commands import JobUnknown
from transaction_history.jobs.objects import Objects
from transaction_history.jobs.queries import JobQueries, LinkEnded

_FILE: Final[dict[str, Any]] = {
    "description": "The file, or the range.",
    "content": {each: {"schema": dict(BYTES)} for each in MEDIA_TYPES},
}
Token = Annotated[
    str,
    Path(
        description="What the link ends with.", json_schema_extra={"pattern": f"^[A-Za-z0-9_-]{{{TOKEN_CHARACTERS}}}$"}
    ),
]


def downloads_page(queries: JobQueries, objects: Objects, key: bytes) -> APIRouter:
    """Return the route that links lead to; *key* is what they are signed with."""
    router = APIRouter(tags=["exports"])

    @router.get(
        f"{DOWNLOADS}/{{token}}",
        summary="The file that a link leads to, or a range of its bytes",
        operation_id="download_file",
        response_class=Response,
        responses={
            **declared(problems.INVALID_QUERY, problems.LINK_NOT_FOUND, problems.LINK_ENDED, *files.REFUSALS),
            files.OK: _FILE,
            files.PARTIAL: _FILE,
        },
    )
    async def download_file(token: Token, asked: AskedPart) -> Response:
        name = named_by(key, token)
        found = JobUnknown() if name is None else await queries.linked(name)
        if isinstance(found, JobUnknown):
            raise Problem(problems.LINK_NOT_FOUND, "There is no such link.")
        if isinstance(found, LinkEnded):
            raise Problem(problems.LINK_ENDED, "The link has expired, or was revoked.")
        return await file_answer(found, asked, objects)

    return router
