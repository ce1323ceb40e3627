"""How a route is declared, whichever engine carries it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeGuard

import msgspec

from contracts.problems import ProblemCode
from servicekit.access.admission import Access

BODY_BYTES_MAX: Final = 64 * 1024

Link = tuple[str, dict[str, str]]
"""An operation's id, and its parameters as expressions over the answer before it."""


class Engine(Enum):
    """What takes a route's requests to its handler."""

    COMMAND = "command"
    """ASGI and msgspec, for commands: the handler takes a CommandRequest and returns a CommandResponse."""
    ORDINARY = "ordinary"
    """FastAPI: the handler asks for what it needs by annotated parameters, and returns its response."""


@dataclass(frozen=True, slots=True)
class PageOf:
    """A response that is a page of a list: `data`, whose members are *item*, and `next_cursor`."""

    item: type[msgspec.Struct]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of an API.

    A part of *path* such as `{id}` takes one segment: a slash belongs to its text where it is written as `%2F`.
    *request* is the type of the JSON body; None: the route takes no body but `{}`. *response* is what a success, which
    has *status*, answers: a struct, a page of structs, a pydantic model, or None for an answer made by hand.
    *problems* are the route's own refusals.
    """

    engine: Engine = Engine.ORDINARY
    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    access: Access
    operation_id: str
    summary: str
    description: str = ""
    tags: Sequence[str] = ()
    path_schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON schemas of a command route's parameters in its path; what is not among them is an id."""
    request: type | None = None
    response: Any = None
    media_types: Sequence[str] = ()
    """Of a success that is made by hand and is no JSON; beside *response*, where a request asks for it."""
    status: int = 200
    problems: Sequence[ProblemCode] = ()
    response_headers: Mapping[str, str] = field(default_factory=dict)
    """Header name to what it says."""
    links: Sequence[Link] = ()
    """Where a success leads."""
    body_max_bytes: int = BODY_BYTES_MAX

    @property
    def answered_struct(self) -> type[msgspec.Struct] | None:
        """The struct that a success answers, or has a page of; None for an answer of another kind."""
        answered = self.response.item if isinstance(self.response, PageOf) else self.response
        return answered if is_struct(answered) else None


def is_struct(candidate: Any) -> TypeGuard[type[msgspec.Struct]]:
    """Tell whether *candidate* is a struct's type."""
    return isinstance(candidate, type) and issubclass(candidate, msgspec.Struct)
