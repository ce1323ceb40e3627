"""Lists: `limit` and opaque cursors bound to their query."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from fastapi import Depends, Query

from contracts import problems
from servicekit.http.problems import Problem

P = TypeVar("P")
Row = TypeVar("Row")

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


@dataclass(frozen=True, slots=True)
class Shown(Generic[Row]):
    """The rows of a page, and the cursor of the page after it: None at the list's end."""

    rows: Sequence[Row]
    next_cursor: str | None


class PageBody(msgspec.Struct, Generic[Row], frozen=True):
    """A page as structs: what a route whose response is a `PageOf` answers."""

    data: Sequence[Row]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Paged(Generic[P]):
    """What to read for a page: up to *limit* rows that come after *position*, or the first ones.

    *limit* is one more than the page shows: that row tells whether there are more.
    """

    position: P | None
    limit: int
    _fingerprint: str

    def show(self, rows: Sequence[Row], position_of: Callable[[Row], P]) -> Shown[Row]:
        """Return the page of the *rows* that were read; *position_of* tells where in the list a row stands."""
        if len(rows) < self.limit:
            return Shown(rows, None)
        shown = rows[: self.limit - 1]
        return Shown(shown, self.cursor(position_of(shown[-1])))

    def cursor(self, position: P) -> str:
        """Return the cursor of the page after *position*, for a page that ends where its rows do not tell."""
        return encode_cursor(self._fingerprint, position)


def paged(page: PageRequest, position: type[P], *query: object) -> Paged[P]:
    """Return what to read for *page* of the list that *query* gives; raise Problem `invalid_cursor`.

    *query* is all that picks the rows: the list's name, the tenant, and the filter as an object, so that a field added
    to the filter binds cursors too. A cursor's *position* is of the type whose order the list has.
    """
    fingerprint = msgspec.json.encode(query, enc_hook=_plain, order="deterministic").decode()
    after = None if page.cursor is None else decode_cursor(page.cursor, fingerprint, position)
    return Paged(after, page.limit + 1, fingerprint)


def encode_cursor(fingerprint: str, position: Any) -> str:
    """Return an opaque cursor to *position* (anything msgspec encodes) in the query that *fingerprint* names.

    A cursor is bound, not secret and not signed: it
    names a place to go on from, and who may read what is decided by the query itself.
    """
    payload = msgspec.msgpack.encode(position, enc_hook=_plain)
    return base64.urlsafe_b64encode(_digest(fingerprint, payload) + payload).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, fingerprint: str, position: type[P]) -> P:
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


def _plain(value: Any) -> Any:
    """Return *value* as msgspec knows it: the driver has ids of a class of its own."""
    if isinstance(value, UUID):
        return UUID(int=value.int)
    raise NotImplementedError(type(value))


def _digest(fingerprint: str, payload: bytes) -> bytes:
    key = hashlib.sha256(fingerprint.encode()).digest()
    return hashlib.blake2b(payload, digest_size=_DIGEST_BYTES, key=key).digest()
