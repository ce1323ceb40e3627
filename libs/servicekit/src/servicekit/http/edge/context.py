"""What every request carries: its id, its deadline's start, its trace; and the headers that are parsed alike."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.types import Scope

from contracts import problems
from contracts.ids import new_id_text
from contracts.positions import PositionError, parse_position
from servicekit.access.admission import Admission, RawHeaders
from servicekit.http.problems import FieldError, Problem

CONTEXT_KEY: Final = "servicekit.request"
"""Where an ordinary route's ASGI scope holds its `RequestContext`."""

GIVEN_ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"min-access-position",
        b"min-position",
        b"request-id",
        b"traceparent",
    }
)
"""Headers whose second value would contradict the first; what lists may have is left alone."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}", re.ASCII)
_IDEMPOTENCY_KEY: Final = re.compile(rb"[!-~]{1,255}")


class RequestContext(msgspec.Struct, kw_only=True):
    """One request as its handler sees it. *traceparent* is None unless the request is traced."""

    request_id: str
    path: str
    """As it was sent, decoded: the `instance` of its problems."""
    received_s: float
    traceparent: str | None
    admission: Admission | None = None
    error: Exception | None = None
    """What made an answer fail, for the one line that tells it."""


def check_head(scope: Scope, headers: Mapping[bytes, bytes]) -> None:
    """Raise Problem `repeated_header`, or `malformed_http` where HTTP/1.1 comes without a Host.

    *headers* are those of *scope* by name.
    """
    if len(headers) != len(scope["headers"]):
        _refuse_repeated(scope["headers"])
    if b"host" not in headers and scope.get("http_version") != "1.0":
        raise Problem(problems.MALFORMED_HTTP, "The header Host is missing.")


def _refuse_repeated(headers: RawHeaders) -> None:
    names = [name for name, _ in headers]
    for name in names:
        if name in GIVEN_ONCE and names.count(name) > 1:
            told = name.decode("ascii").title()
            raise Problem(problems.REPEATED_HEADER, f"The header {told} may be given once.", header=told)


def header(headers: RawHeaders, name: bytes) -> bytes | None:
    """Return the first value of the lower-case *name*, or None."""
    return next((value for key, value in headers if key == name), None)


def request_id_of(raw: bytes | None) -> bytes:
    """Return the caller's id where it is harmless to log and to send back, else a new one."""
    if raw is not None and _REQUEST_ID.fullmatch(raw) is not None:
        return raw
    return new_id_text().encode()


def idempotency_key_of(raw: bytes | None) -> str:
    """Return the key; raise Problem `invalid_idempotency_key` unless it has 1 to 255 visible ASCII characters."""
    if raw is None:
        raise Problem(problems.INVALID_IDEMPOTENCY_KEY, "The header Idempotency-Key is missing.")
    if _IDEMPOTENCY_KEY.fullmatch(raw) is None:
        raise Problem(
            problems.INVALID_IDEMPOTENCY_KEY, "The Idempotency-Key must have 1 to 255 visible ASCII characters."
        )
    return raw.decode("ascii")


def min_position_of(raw: bytes | None) -> dict[int, int]:
    """Return shard to sequence of a `Min-Position` header, empty without one; raise Problem `invalid_position`."""
    if raw is None:
        return {}
    try:
        return parse_position(raw.decode("ascii"))
    except (PositionError, UnicodeDecodeError) as error:
        raise Problem(problems.INVALID_POSITION, "Min-Position must be the value of a Ledger-Position.") from error


def dry_run_of(query: bytes) -> bool:
    """Return the value of `dry_run`, the only parameter a command has; raise Problem `invalid_query` for another."""
    match query:
        case b"" | b"dry_run=false":
            return False
        case b"dry_run=true":
            return True
        case _:
            raise _query_problem(query)


def _query_problem(query: bytes) -> Problem:
    name = query.split(b"&", 1)[0].split(b"=", 1)[0].decode("ascii", "replace")
    if name == "dry_run":
        return invalid_query(FieldError("/dry_run", "invalid_value", "dry_run is true or false, given once."))
    return invalid_query(FieldError(f"/{name}", "unknown_field", "A command has no query parameter but dry_run."))


def invalid_query(*errors: FieldError, **facts: Any) -> Problem:
    """Return the problem of query parameters that are unknown or out of range."""
    return Problem(problems.INVALID_QUERY, "The query is not valid.", errors=errors, **facts)
