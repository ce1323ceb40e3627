"""Lists: `limit` and opaque cursors bound to their query."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import Depends, Query

from contracts import problems
from servicekit.http.problems import Problem

T = TypeVar("T")

LIMIT_MAX: Final = 200
LIMIT_DEFAULT: Final = 50
CURSOR_CHARACTERS_MAX: Final = 512
_DIGEST_BYTES: Final = 8
_CURSOR_SCHEMA: Final[dict[str, Any]] = {"pattern": "^[A-Za-z0-9_-]+$", "maxLength": CURSOR_CHARACTERS_MAX}


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What part of a list is asked for: at most *limit* items after *cursor*, or the first ones."""

    limit: int
    cursor: str | None


def page_request(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many items at most.")] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before.", json_schema_extra=_CURSOR_SCHEMA)
    ] = None,
) -> PageRequest:
    """Return what part of a list the query asks for."""
    return PageRequest(limit, cursor)


Page = Annotated[PageRequest, Depends(page_request)]
"""The parameter of a list's handler."""


def encode_cursor(fingerprint: str, position: Any) -> str:
    """Return an opaque cursor to *position* (anything msgspec encodes) in the query that *fingerprint* names.

    The fingerprint holds the route and every filter, `limit` apart. A cursor is bound, not secret and not signed: it
    names a place to go on from, and who may read what is decided by the query itself.
    """
    payload = msgspec.msgpack.encode(position)
    return base64.urlsafe_b64encode(_digest(fingerprint, payload) + payload).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, fingerprint: str, position: type[T]) -> T:
    """Return the position in *cursor* as its type; raise Problem `invalid_cursor` if malformed or of another query."""
    try:
        if len(cursor) <= CURSOR_CHARACTERS_MAX:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            digest, payload = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
            if digest == _digest(fingerprint, payload):
                return msgspec.msgpack.decode(payload, type=position)
    except (ValueError, msgspec.MsgspecError):  # ValueError covers what is no base64
        pass
    raise Problem(problems.INVALID_CURSOR, "The cursor is malformed or belongs to another query.")


def _digest(fingerprint: str, payload: bytes) -> bytes:
    key = hashlib.sha256(fingerprint.encode()).digest()
    return hashlib.blake2b(payload, digest_size=_DIGEST_BYTES, key=key).digest()
