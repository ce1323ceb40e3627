"""What a route asks of its caller, and who says whether a caller may: declared here, decided by an `Authority`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

import msgspec

from contracts import problems
from contracts.problems import ProblemCode
from contracts.scopes import Kind, Scope
from servicekit.client_address import Client
from servicekit.health import Check
from servicekit.postgres import Transaction
from servicekit.principal import Principal

RawHeaders = list[tuple[bytes, bytes]]

EACH_ROW: Final = "*"
"""The owner stands in each row of the answer: those of others are left out."""


EVERY_OWNER: Final = "**"
"""What the route is about is of every owner of the tenant at once: a caller that acts for some owners is refused."""


class Cost(StrEnum):
    """What a request costs of its caller's limits on abuse."""

    READ = "read"
    """One unit."""
    COMMAND = "command"
    """One unit for each of its commands; and what a user debits, of the wallet's limit."""
    STRICT = "strict"
    """One unit, and one of a limit that is kept in the database: refused where that cannot be reached."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks of its caller.

    *scope* must be among the caller's; None: whoever is authenticated may ask, and what each part of the request needs
    is asked of the part. *owned* tells where the owner stands: a parameter of the path (`{wallet_id}`), a JSON pointer
    into the body (`/source_wallet_id`), `EACH_ROW`, `EVERY_OWNER`, or None for what belongs to no owner.
    """

    scope: Scope | None
    owned: str | None
    cost: Cost


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


class Limited(Exception):
    """A limit on abuse stands in the way: 429. *retry_after_s* is None where no repeat can be admitted."""

    def __init__(self, detail: str, *, headers: RawHeaders, retry_after_s: int | None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers
        self.retry_after_s = retry_after_s


class Allowance(Protocol):
    """What is left of a caller's limits, for what its request costs beyond the one unit of its admission."""

    def spend(self, units: int) -> None:
        """Take *units* more; raises Limited."""
        ...

    def debit(self, wallet_id: UUID) -> None:
        """Take a unit of what a user may debit *wallet_id*; raises Limited."""
        ...

    async def begin(self, tx: Transaction) -> None:
        """Take, first of all in the command's transaction, what its route's cost asks of the database.

        That is a unit of key creation where the cost is `Cost.STRICT`, else nothing. Raises Limited; a database's error
        passes, so that the command fails too.
        """
        ...


class Unlimited:
    """The allowance of callers that have no limits."""

    def spend(self, units: int) -> None:
        """Take nothing."""

    def debit(self, wallet_id: UUID) -> None:
        """Take nothing."""

    async def begin(self, tx: Transaction) -> None:
        """Take nothing."""


UNLIMITED: Final[Allowance] = Unlimited()


class Admission(msgspec.Struct, frozen=True, gc=False):
    """Who was admitted, what is left of its limits, and the headers that tell it so."""

    principal: Principal
    allowance: Allowance
    headers: RawHeaders


class Authority(Protocol):
    """Says who asks, and whether they may."""

    async def admit(self, headers: Mapping[bytes, bytes], client: Client, access: Access, /) -> Admission:
        """Return who sent a request with *headers* (lower-case name to value) from the address of *client*.

        Raises NotAuthenticated, NotAllowed as `require_access` does, AccessStale, Limited, InvalidAccessPosition, and
        PositionNotReached where that is not known in time.
        """
        ...

    def check(self) -> Mapping[str, Check]:
        """Return, for a deep look, how fresh what it knows is."""
        ...


class _AdmitsNobody:
    """The authority of a process without routes of its own."""

    def check(self) -> Mapping[str, Check]:
        """Return nothing: it knows nobody."""
        return {}

    async def admit(self, _headers: Mapping[bytes, bytes], _client: Client, _access: Access, /) -> Admission:
        """Refuse every request; raises NotAuthenticated."""
        raise NotAuthenticated("Nobody is known here.")


NOBODY: Final[Authority] = _AdmitsNobody()


def require(principal: Principal, scope: Scope | None, *, index: int | None = None) -> None:
    """Raise NotAllowed unless *principal* holds *scope*."""
    if scope is not None and not principal.scopes & scope.mask:
        raise NotAllowed(f"The scope {scope.name} is needed.", kind=principal.kind, scope=scope, index=index)


def require_access(principal: Principal, access: Access) -> None:
    """Raise NotAllowed unless *principal* holds the route's scope, and acts for every owner where that is asked."""
    require(principal, access.scope)
    if access.owned == EVERY_OWNER and principal.acts_for is not None:
        raise NotAllowed("The caller acts for some owners alone, and this is of all of them.", kind=principal.kind)
