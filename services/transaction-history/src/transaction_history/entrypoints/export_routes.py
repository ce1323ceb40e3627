"""The routes of exports."""

from collections.abc import Sequence
from typing import Final

from contracts import problems, scopes
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.route import Link, Route
from transaction_history.entrypoints import files
from transaction_history.entrypoints.export_handlers import EXPORTS, ExportHandlers
from transaction_history.entrypoints.export_requests import CreateExport, CreateLink
from transaction_history.entrypoints.job_bodies import JobBody, LinkBody
from transaction_history.entrypoints.job_routes import ABOUT_OTHERS
from transaction_history.exports.writing import MEDIA_TYPES

_EXPORT: Final = f"{EXPORTS}/{{export_id}}"
_TAGS: Final = ("exports",)
_TO_EXPORT: Final[Sequence[Link]] = (
    *((name, {"export_id": "$response.body#/id"}) for name in ("get_export", "get_export_file", "link_export")),
    ("get_job", {"job_id": "$response.body#/id"}),
    ("cancel_job", {"job_id": "$response.body#/id"}),
)
_OWN_ROWS: Final = "A caller that acts for some owners alone exports their rows, and no other."


def export_routes(handlers: ExportHandlers) -> Sequence[Route]:
    """Return the routes of exports and their files."""
    return (
        Route(
            method="POST",
            path=EXPORTS,
            handler=handlers.create,
            access=Access(scopes.HISTORY_EXPORT, EACH_ROW, Cost.COMMAND),
            operation_id="create_export",
            summary="Have a file made of the history",
            description=f"{_OWN_ROWS} The file has what was there when a worker first looked.",
            tags=_TAGS,
            request=CreateExport,
            response=JobBody,
            status=202,
            problems=[problems.TOO_MANY_JOBS],
            links=_TO_EXPORT,
        ),
        Route(
            method="GET",
            path=_EXPORT,
            handler=handlers.get,
            access=Access(scopes.HISTORY_EXPORT, "{export_id}", Cost.READ),
            operation_id="get_export",
            summary="An export",
            description=ABOUT_OTHERS,
            tags=_TAGS,
            response=JobBody,
            problems=[problems.EXPORT_NOT_FOUND],
        ),
        Route(
            method="GET",
            path=f"{_EXPORT}/file",
            handler=handlers.file,
            access=Access(scopes.HISTORY_EXPORT, "{export_id}", Cost.READ),
            operation_id="get_export_file",
            summary="The file of an export, or a range of its bytes",
            description=ABOUT_OTHERS,
            tags=_TAGS,
            media_types=MEDIA_TYPES,
            response_headers=files.HEADERS,
            problems=[problems.EXPORT_NOT_FOUND, *files.REFUSALS],
        ),
    )


def link_routes(handlers: ExportHandlers) -> Sequence[Route]:
    """Return the routes of links to exports' files."""
    return (
        Route(
            method="POST",
            path=f"{_EXPORT}/link",
            handler=handlers.link,
            access=Access(scopes.HISTORY_EXPORT, "{export_id}", Cost.COMMAND),
            operation_id="link_export",
            summary="A link to the file, for whoever has it",
            description=ABOUT_OTHERS,
            tags=_TAGS,
            request=CreateLink,
            response=LinkBody,
            status=201,
            problems=[
                *(problems.EXPORT_NOT_FOUND, problems.FILE_NOT_READY, problems.NO_FILE, problems.FILE_EXPIRED),
            ],
        ),
        Route(
            method="DELETE",
            path=f"{_EXPORT}/links",
            handler=handlers.revoke,
            access=Access(scopes.HISTORY_EXPORT, "{export_id}", Cost.COMMAND),
            operation_id="revoke_export_links",
            summary="Have no link to the file lead there any longer",
            description=ABOUT_OTHERS,
            tags=_TAGS,
            status=204,
            problems=[problems.EXPORT_NOT_FOUND],
        ),
    )
