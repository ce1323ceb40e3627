"""How FastAPI's and Starlette's errors become the same problem documents as everybody else's."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from contracts import problems
from contracts.problems import ProblemCode
from servicekit.http.edge.command import CommandRoutes
from servicekit.http.edge.context import CONTEXT_KEY, invalid_query
from servicekit.http.edge.decoding import EMPTY_BODY, escape, invalid_request
from servicekit.http.problems import PROBLEM_TYPE, FieldError, Problem, problem_from

_BY_STATUS: Final[Mapping[int, ProblemCode]] = {
    400: problems.MALFORMED_JSON,
    401: problems.UNAUTHENTICATED,
    403: problems.FORBIDDEN,
    404: problems.NOT_FOUND,
    405: problems.METHOD_NOT_ALLOWED,
    413: problems.BODY_TOO_LARGE,
    415: problems.UNSUPPORTED_MEDIA_TYPE,
    429: problems.RATE_LIMITED,
    503: problems.UNAVAILABLE,
}

_FIELD_CODES: Final[Mapping[str, str]] = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_many",
    "too_short": "too_few",
    "uuid_parsing": "invalid_id",
    "uuid_type": "invalid_id",
}
"""Pydantic's error type to ours; what ends in `_type` or `_parsing` is `invalid_type`, the rest `invalid_value`."""


def add_error_handlers(app: FastAPI, commands: CommandRoutes) -> None:
    """Answer every error of *app* with a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = _problem(request, error, commands)
        request.scope[CONTEXT_KEY].error = error  # the edge logs it where it is our failure
        return problem_response(problem, request.scope[CONTEXT_KEY].path)

    for kind in (HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)


def problem_response(problem: Problem, path: str) -> Response:
    """Return *problem* as a response to the request for *path*."""
    response = Response(problem.render(path), problem.code.status, media_type=PROBLEM_TYPE.decode())
    response.raw_headers.extend(problem.headers)
    return response


def _problem(request: Request, error: Exception, commands: CommandRoutes) -> Problem:
    match error:
        case RequestValidationError():
            return problem_of_validation(error.errors())
        case HTTPException():
            return _problem_of_http(request, error, commands)
        case _:
            return problem_from(error)


def _problem_of_http(request: Request, error: HTTPException, commands: CommandRoutes) -> Problem:
    """Answer what the router raises; a path that only command routes know is a 405, not a 404."""
    allowed = commands.methods_of(request.url.path)
    if error.status_code == problems.METHOD_NOT_ALLOWED.status:
        allowed |= _methods_of(request, error)
    if allowed:
        allow = ", ".join(sorted(allowed | {"HEAD"} if "GET" in allowed else allowed))
        return Problem(problems.METHOD_NOT_ALLOWED, f"The path takes {allow}.", headers=[(b"allow", allow.encode())])
    code = _BY_STATUS.get(error.status_code, problems.INTERNAL_ERROR)
    detail = "There is no such path." if code is problems.NOT_FOUND else code.title + "."
    return Problem(code, detail)


def _methods_of(request: Request, error: HTTPException) -> set[str]:
    """Return every method that the path takes: the router names those of its first route alone, the document all."""
    named = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",") if method.strip()}
    for template, operations in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), request.url.path):
            named |= {method.upper() for method in operations}
    return named


def problem_of_validation(errors: Sequence[Any]) -> Problem:
    """Return the problem of what pydantic refused: the body 422, query and headers 400, the path 404."""
    places = {error["loc"][0] for error in errors}
    if "path" in places:
        return Problem(problems.NOT_FOUND, "There is no such resource: the id in the path is malformed.")
    if "body" not in places:
        return invalid_query(*[_field_error(error) for error in errors])
    if any(error["loc"] == ("body",) and error["type"] == "missing" for error in errors):
        return Problem(problems.MALFORMED_JSON, EMPTY_BODY)
    return invalid_request(*[_field_error(error) for error in errors if error["loc"][0] == "body"])


def _field_error(error: Mapping[str, Any]) -> FieldError:
    pointer = "".join(f"/{escape(str(step))}" for step in error["loc"][1:])
    kind: str = error["type"]
    code = _FIELD_CODES.get(kind)
    if code is None:
        code = "invalid_type" if kind.endswith(("_type", "_parsing")) else "invalid_value"
    return FieldError(pointer, code, error["msg"])
