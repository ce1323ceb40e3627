"""What a route asks of its caller, and who says whether a caller may: declared here, decided by an `Authority`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from contracts import problems
from contracts.problems import ProblemCode
from contracts.scopes import Kind, Scope
from servicekit.principal import Principal

EACH_ROW: Final = "*"
"""The owner stands in each row of the answer: those of others are left out."""


class Limit(StrEnum):
    """Which limit on abuse a route counts against."""

    READ = "read"
    COMMAND = "command"
    STRICT = "strict"
    """For what makes credentials: refused where the count cannot be kept."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks of its caller.

    *scope* must be among the caller's; None: whoever is authenticated may ask, and what each part of the request needs
    is asked of the part. *owned* tells where the owner stands: a parameter of the path (`{wallet_id}`), a JSON pointer
    into the body (`/source_wallet_id`), `EACH_ROW`, or None for what belongs to no owner.
    """

    scope: Scope | None
    owned: str | None
    limit: Limit


class NotAuthenticated(Exception):
    """The request is nobody's: 401, with one of the codes for that."""

    def __init__(
        self, detail: str, *, code: ProblemCode = problems.UNAUTHENTICATED, is_challenged: bool = False
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.is_challenged = is_challenged
        """Whether there was a credential to refuse: a request without one is told nothing of an error (RFC 6750)."""


class NotAllowed(Exception):
    """The caller may not do this: 403. *scope* is what it lacks, of a part of the request where *index* is given."""

    def __init__(self, detail: str, *, kind: Kind, scope: Scope | None = None, index: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.kind = kind
        self.scope = scope
        self.index = index


class AccessStale(Exception):
    """Nothing was heard of identities for too long, and staff's scopes wait until something is: 503."""


class InvalidAccessPosition(ValueError):
    """`Min-Access-Position` is not the value of an `Access-Position`: 400."""


class Authority(Protocol):
    """Says who asks, and whether they may."""

    async def admit(self, headers: Mapping[bytes, bytes], peer: str | None, access: Access, /) -> Principal:
        """Return the principal of a request with *headers* (lower-case name to value) from the address *peer*.

        Raises NotAuthenticated, NotAllowed where the route's scope is missing, AccessStale, InvalidAccessPosition, and
        PositionNotReached where that is not known in time.
        """
        ...


class _AdmitsNobody:
    """The authority of a process without routes of its own."""

    async def admit(self, _headers: Mapping[bytes, bytes], _peer: str | None, _access: Access, /) -> Principal:
        """Refuse every request; raises NotAuthenticated."""
        raise NotAuthenticated("Nobody is known here.")


NOBODY: Final[Authority] = _AdmitsNobody()


def require(principal: Principal, scope: Scope | None, *, index: int | None = None) -> None:
    """Raise NotAllowed unless *principal* holds *scope*."""
    if scope is not None and not principal.scopes & scope.mask:
        raise NotAllowed(f"The scope {scope.name} is needed.", kind=principal.kind, scope=scope, index=index)
