"""What a caller may give to others: never more than it has itself. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from access.domain.outcomes import Entity, Forbidden, Unknown
from contracts.scopes import TENANTS_WRITE, Kind, mask_for, names_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Grantor:
    """Who gives: its kind, the bits of its scopes, the owners it acts for (None: every owner of the tenant)."""

    kind: Kind
    scopes: int
    acts_for: frozenset[str] | None


def check_grant(grantor: Grantor, *, kind: Kind, scopes: int, acts_for: Iterable[str] | None) -> Forbidden | None:
    """Return why *grantor* may not make a credential of *kind* with *scopes* and *acts_for*; None where it may.

    It gives no scope that it does not hold, no owner that it does not act for, and makes an operator only as one.
    """
    if kind is Kind.OPERATOR and grantor.kind is not Kind.OPERATOR:
        return Forbidden("Only an operator makes an operator.")
    lacking = names_of(scopes & ~grantor.scopes)
    if lacking:
        return Forbidden(f"You do not hold the scope {lacking[0]} yourself.", lacking[0])
    if grantor.acts_for is not None and (acts_for is None or not grantor.acts_for.issuperset(acts_for)):
        return Forbidden("You do not act for all of those owners yourself.")
    return None


def check_reach(grantor: Grantor, *, own: UUID, named: UUID) -> Unknown | Forbidden | None:
    """Return why *grantor*, of the tenant *own*, may give nothing in the tenant *named*; None where it may.

    Its own tenant is open to it. Another's is to who may make tenants: somebody has to give a new one its first key. To
    all others it is as if there were none. Owners' names are each tenant's own: who acts for some owners of one tenant
    acts for nobody in another.
    """
    if named == own:
        return None
    if not grantor.scopes & TENANTS_WRITE.mask:
        return Unknown(Entity.TENANT)
    if grantor.acts_for is not None:
        return Forbidden("You act for some owners of your own tenant alone.")
    return None


def check_issuance(grantor: Grantor, kinds: Iterable[Kind]) -> Forbidden | None:
    """Return why *grantor* may not have tokens of *kinds* believed, None where it may.

    Whoever has an issuer's private key writes into a token whatever it likes: every scope that the kinds may hold, any
    owner. So this is the grant of all that.
    """
    for kind in sorted(kinds):
        forbidden = check_grant(grantor, kind=kind, scopes=mask_for(kind), acts_for=None)
        if forbidden is not None:
            return forbidden
    return None
