"""Who calls in the matrix: kinds of callers of two tenants, with their scopes and owners, and credentials that are bad.

Two tenants have an owner of the same name: what keeps them apart is the tenant alone.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple
from uuid import UUID

from contracts.ids import new_id
from contracts.scopes import Kind

OWNER: Final = "ann"
OTHER_OWNER: Final = "bob"
OURS: Final = new_id()
THEIRS: Final = new_id()
SUSPENDED: Final = new_id()


class Home(NamedTuple):
    """Whose wallets a caller may use: an owner's of a tenant."""

    tenant_id: UUID
    owner: str


class Holds(Enum):
    """Which scopes a caller has, of those that its kind may have."""

    NEEDED = "what the operation needs and nothing else"
    OTHERS = "all but what the operation needs"
    ALL = "all there are"
    """A user's token names scopes that are never a user's among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A kind of caller. *owners*: whom it acts for, None for everybody of its tenant.

    *refused* is the code of the 401 that it gets whatever it asks for.
    """

    name: str
    kind: Kind = Kind.SERVICE
    holds: Holds = Holds.NEEDED
    tenant_id: UUID = OURS
    owners: frozenset[str] | None = None
    refused: str | None = None

    @property
    def home(self) -> Home:
        """Whose wallets it uses where it needs one of its own."""
        return Home(self.tenant_id, OWNER if self.owners is None else min(self.owners))

    def covers(self, owner: str) -> bool:
        """Tell whether it acts for *owner* of its tenant."""
        return self.owners is None or owner in self.owners


_OWNER: Final = frozenset({OWNER})
_OTHER: Final = frozenset({OTHER_OWNER})


def _user(name: str, owners: frozenset[str] = _OWNER, *, holds: Holds = Holds.ALL, tenant_id: UUID = OURS) -> Caller:
    return Caller(name=name, kind=Kind.USER, holds=holds, owners=owners, tenant_id=tenant_id)


def _bad(name: str, refused: str, kind: Kind = Kind.SERVICE, tenant_id: UUID = OURS) -> Caller:
    owners = _OWNER if kind is Kind.USER else None
    return Caller(name=name, kind=kind, holds=Holds.ALL, owners=owners, tenant_id=tenant_id, refused=refused)


REVOKED_KEY: Final = _bad("revoked key", "key_revoked")
FORGED_ADDRESS: Final = _bad("key, from a forged address", "address_not_allowed")
NO_CREDENTIAL: Final = _bad("no credential", "unauthenticated")
EXPIRED_TOKEN: Final = _bad("expired token", "token_expired", Kind.USER)
WRONG_AUDIENCE: Final = _bad("token for another audience", "unauthenticated", Kind.USER)
OWNERS_USER: Final = _user("owner")
OTHER_OWNERS_USER: Final = _user("other owner", _OTHER)
SERVICE: Final = Caller(name="service")
SERVICE_FOR_OWNER: Final = Caller(name="service for the owner", owners=_OWNER)
OPERATOR: Final = Caller(name="operator", kind=Kind.OPERATOR)

CALLERS: Final = (
    NO_CREDENTIAL,
    EXPIRED_TOKEN,
    REVOKED_KEY,
    WRONG_AUDIENCE,
    FORGED_ADDRESS,
    _bad("user of a suspended tenant", "unauthenticated", Kind.USER, SUSPENDED),
    _bad("service of a suspended tenant", "unauthenticated", Kind.SERVICE, SUSPENDED),
    _user("owner without the scope", holds=Holds.OTHERS),
    Caller(name="service without the scope", holds=Holds.OTHERS),
    Caller(name="operator without the scope", kind=Kind.OPERATOR, holds=Holds.OTHERS),
    OTHER_OWNERS_USER,
    Caller(name="service for another owner", owners=_OTHER),
    _user("other tenant's user", tenant_id=THEIRS),
    Caller(name="other tenant's service", tenant_id=THEIRS),
    Caller(name="other tenant's operator", kind=Kind.OPERATOR, tenant_id=THEIRS),
    OWNERS_USER,
    SERVICE_FOR_OWNER,
    SERVICE,
    OPERATOR,
)
