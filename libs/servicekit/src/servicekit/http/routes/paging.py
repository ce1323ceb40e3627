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
from servicekit.read_model.walking import Walk, Walked

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


async def page_request(
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
    fingerprint = _fingerprint(query)
    after = None if page.cursor is None else decode_cursor(page.cursor, fingerprint, position)
    return Paged(after, page.limit + 1, fingerprint)


class Turn(msgspec.Struct, Generic[P], frozen=True, array_like=True):
    """What the cursor of a list says that is walked both ways: where to go on from, and whether backwards.

    *is_included* is the row at *position* itself: it was looked at and not shown.
    """

    is_back: bool
    is_included: bool
    position: P


@dataclass(frozen=True, slots=True)
class ShownBothWays(Generic[Row]):
    """The rows of a page, and the cursors of the pages after and before it: None where the list is known to end."""

    rows: Sequence[Row]
    next_cursor: str | None
    prev_cursor: str | None


@dataclass(frozen=True, slots=True)
class PagedBothWays(Generic[P]):
    """The page that is asked for of a list that is walked both ways: what to read for it is *walk*."""

    walk: Walk[P]
    _fingerprint: str

    def show(self, walked: Walked[Row, P]) -> ShownBothWays[Row]:
        """Return the page of the rows that were read, in the order of the list whichever way it is walked."""
        walk = self.walk
        has_more = len(walked.rows) >= walk.limit
        shown = list(walked.rows[: walk.limit - 1] if has_more else walked.rows)
        ahead = walked.position_of(shown[-1]) if has_more else walked.looked_to
        behind = walk.position if not shown or walk.position is None else walked.position_of(shown[0])
        on = None if ahead is None else self._cursor(Turn(walk.is_back, is_included=False, position=ahead))
        back = None if behind is None else self._cursor(Turn(not walk.is_back, is_included=not shown, position=behind))
        if walk.is_back:
            return ShownBothWays(shown[::-1], back, on)
        return ShownBothWays(shown, on, back)

    def _cursor(self, turn: Turn[P]) -> str:
        return encode_cursor(self._fingerprint, turn)


def paged_both_ways(page: PageRequest, position: type[P], *query: object) -> PagedBothWays[P]:
    """Return what to read for *page*, as `paged` does, of a list that is walked both ways."""
    fingerprint, limit = _fingerprint(query), page.limit + 1
    if page.cursor is None:
        return PagedBothWays(Walk(None, is_back=False, is_included=False, limit=limit), fingerprint)
    turn = decode_cursor(page.cursor, fingerprint, Turn[position])  # type: ignore[valid-type]  # made at run time
    return PagedBothWays(Walk(turn.position, turn.is_back, turn.is_included, limit), fingerprint)


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


def _fingerprint(query: Sequence[object]) -> str:
    return msgspec.json.encode(query, enc_hook=_plain, order="deterministic").decode()


def _plain(value: Any) -> Any:
    """Return *value* as msgspec knows it: the driver has ids of a class of its own."""
    if isinstance(value, UUID):
        return UUID(int=value.int)
    raise NotImplementedError(type(value))


def _digest(fingerprint: str, payload: bytes) -> bytes:
    key = hashlib.sha256(fingerprint.encode()).digest()
    return hashlib.blake2b(payload, digest_size=_DIGEST_BYTES, key=key).digest()
