"""Ids and instants in paths, queries and bodies, read alike by every route."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.ids import parse_id
from contracts.problems import ProblemCode
from contracts.times import InstantError, parse_instant
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError, Problem

_TEXT_SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class PathIdReader:
    """Reads the ids of one kind of resource in paths. A `{}` in *detail* is the id as it was written."""

    code: ProblemCode
    detail: str

    def __call__(self, text: str) -> UUID:
        """Return the id that *text* is; raise `missing` where it is none: nothing can be found by it."""
        known = parse_id(text)
        if known is None:
            raise self.missing(text)
        return known

    def missing(self, text: str) -> Problem:
        """Return the problem that there is no such resource."""
        return Problem(self.code, self.detail.format(text[:_TEXT_SHOWN]))


def path_id(code: ProblemCode, detail: str) -> PathIdReader:
    """Return what reads the ids of the resources whose absence is the problem *code*."""
    return PathIdReader(code, detail)


def filtered_id(text: str | None, name: str, detail: str) -> UUID | None:
    """Return the id in the query's parameter *name*, None without one; raise Problem `invalid_query` with *detail*."""
    if text is None:
        return None
    known = parse_id(text)
    if known is None:
        raise invalid_query(FieldError(f"/{name}", "invalid_id", detail))
    return known


def instant_of(text: str, name: str, refused: Callable[[FieldError], Problem]) -> datetime:
    """Return the instant in the field *name*; raise what *refused* makes of a text that is not RFC 3339."""
    try:
        return parse_instant(text)
    except InstantError as error:
        raise refused(FieldError(f"/{name}", "invalid_value", str(error))) from None
