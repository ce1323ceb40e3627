"""`/problems/{code}` and `/schemas/{event_type}`: what problem types and event schemas resolve to."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Path
from starlette.responses import Response

from contracts import problems
from contracts.event_types import json_schema
from contracts.field_codes import FIELD_CODES
from contracts.problems import PROBLEM_CODES
from contracts.registry import PUBLISHED_TYPES
from servicekit.http.openapi.responses import declared, page_content
from servicekit.http.problems import Problem
from servicekit.http.routes.responses import json_response


def add_reference_pages(app: FastAPI) -> None:
    """Add `/problems/{code}` and `/schemas/{event_type}`: what problem types and event schemas resolve to."""
    router = APIRouter(tags=["reference"])

    @router.get(
        "/problems/{code}",
        summary="Tell what a problem code means.",
        operation_id="problem_page",
        response_class=Response,
        responses={**_MISSING, 200: page_content("application/json", {"type": "object"})},
    )
    async def problem_page(code: Annotated[str, _one_of(PROBLEM_CODES)]) -> Response:
        problem = PROBLEM_CODES.get(code)
        if problem is None:
            raise Problem(problems.NOT_FOUND, "There is no such problem code.")
        fields = list(FIELD_CODES.values()) if problem in _WITH_FIELDS else None
        page = {"code": code, "status": problem.status, "title": problem.title, "advice": problem.advice}
        return json_response(msgspec.json.encode(page if fields is None else page | {"field_codes": fields}))

    @router.get(
        "/schemas/{event_type}",
        summary="Answer the JSON Schema of an event type.",
        operation_id="schema_page",
        response_class=Response,
        responses={**_MISSING, 200: page_content("application/schema+json", {"type": "object"})},
    )
    async def schema_page(event_type: Annotated[str, _one_of(PUBLISHED_TYPES)]) -> Response:
        known = PUBLISHED_TYPES.get(event_type)
        if known is None:
            raise Problem(problems.NOT_FOUND, "There is no such event type.")
        return Response(msgspec.json.encode(json_schema(known)), media_type="application/schema+json")

    app.include_router(router)


_WITH_FIELDS = (problems.INVALID_REQUEST, problems.INVALID_QUERY)
_MISSING = declared(problems.INVALID_QUERY, problems.NOT_FOUND)


def _one_of(names: Iterable[str]) -> Any:
    """Return the declaration of a path's last part: the document names what there is, the route finds out."""
    return Path(json_schema_extra={"enum": sorted(names)})
