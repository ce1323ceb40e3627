"""What the claims of a verified token say of its bearer, by its issuer's mapping. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from contracts.access import ClaimMapping, IssuerChanged
from contracts.ids import parse_id
from contracts.scopes import Kind, known_mask_of, mask_for

OWNERS_MAX: Final = 20
OWNER_CHARACTERS_MAX: Final = 100
SUBJECT_CHARACTERS_MAX: Final = 255
LISTED_MAX: Final = 200
"""Scopes, or roles, of one token: more would not fit its 8 KiB."""
SUBJECT_CLAIM: Final = "sub"
ABSENT: Final = object()
"""Instead of a claim that is not there: null is a value, and of no form that is taken."""


class ClaimsRefused(ValueError):
    """What the token says is missing, of the wrong form, or not to be believed; the message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What the claims say: as the members of `TokenPrincipal`."""

    tenant_id: UUID
    subject: str
    kind: Kind
    scopes: int
    acts_for: frozenset[str] | None


def map_claims(claims: Mapping[str, Any], issuer: IssuerChanged, tenant_id: UUID) -> Mapped:
    """Return what *claims* say by the mapping of *issuer*, which is one of *tenant_id*; raises ClaimsRefused.

    Scopes that the kind may not hold are dropped, like names that are no scope here: an identity provider cannot be
    asked to know. A user without owner ids acts for none. A service or an operator acts for every owner of the tenant
    unless the mapping's owners claim, `sub` apart, is in its token: its `sub` is no owner's.
    """
    mapping = issuer.claims
    kind = _kind(claims, issuer)
    return Mapped(
        tenant_id=_tenant(claims, mapping, tenant_id),
        subject=_subject(claims, issuer.name),
        kind=kind,
        scopes=_scopes(claims, mapping) & mask_for(kind),
        acts_for=_owners(claims, mapping, kind),
    )


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """Return the claim *name*: the member of that very name, or what a dotted path leads to; ABSENT without either.

    URLs with dots in them are names, and `realm_access.roles` is a path, as identity providers have them.
    """
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        if not isinstance(found, dict) or step not in found:
            return ABSENT
        found = found[step]
    return found


def _tenant(claims: Mapping[str, Any], mapping: ClaimMapping, tenant_id: UUID) -> UUID:
    if mapping.tenant_claim is None:
        return tenant_id
    claim = claim_of(claims, mapping.tenant_claim)
    known = parse_id(claim) if isinstance(claim, str) else None
    if known is None:
        raise ClaimsRefused(f"The claim {mapping.tenant_claim} is not a tenant's id.")
    return known


def _subject(claims: Mapping[str, Any], name: str) -> str:
    claim = claims.get(SUBJECT_CLAIM)
    if not isinstance(claim, str) or not claim or not claim.isprintable():
        raise ClaimsRefused("The claim sub is not a printable text.")
    subject = f"{name}|{claim}"
    if len(subject) > SUBJECT_CHARACTERS_MAX:
        raise ClaimsRefused(f"With its issuer's name the claim sub is longer than {SUBJECT_CHARACTERS_MAX} characters.")
    return subject


def _kind(claims: Mapping[str, Any], issuer: IssuerChanged) -> Kind:
    """Return the kind: the issuer's one, or the claim's, which must be among the issuer's."""
    name = issuer.claims.kind_claim
    if name is None and len(issuer.kinds) != 1:
        raise ClaimsRefused("The issuer has several kinds and no claim that tells which.")
    claim = issuer.kinds[0] if name is None else claim_of(claims, name)
    if not isinstance(claim, str) or claim not in issuer.kinds or claim not in set(Kind):
        raise ClaimsRefused(f"The claim {name} is no kind that the issuer may issue.")
    return Kind(claim)


def _scopes(claims: Mapping[str, Any], mapping: ClaimMapping) -> int:
    mask = 0
    if mapping.scopes_claim is not None:
        mask |= known_mask_of(_names(claims, mapping.scopes_claim))
    if mapping.roles_claim is not None:
        for role in _names(claims, mapping.roles_claim):
            mask |= known_mask_of(mapping.roles.get(role, ()))
    return mask


def _names(claims: Mapping[str, Any], name: str) -> list[str]:
    """Return the words of a text claim or the texts of a list; none without the claim."""
    claim = claim_of(claims, name)
    listed = [] if claim is ABSENT else claim.split(" ") if isinstance(claim, str) else claim
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise ClaimsRefused(f"The claim {name} is neither a text nor a list of texts.")
    if len(listed) > LISTED_MAX:
        raise ClaimsRefused(f"The claim {name} has more than {LISTED_MAX} members.")
    return listed


def _owners(claims: Mapping[str, Any], mapping: ClaimMapping, kind: Kind) -> frozenset[str] | None:
    name = mapping.owners_claim
    is_user = kind is Kind.USER
    if name is None or (name == SUBJECT_CLAIM and not is_user):
        return frozenset() if is_user else None
    claim = claim_of(claims, name)
    if claim is ABSENT:
        return frozenset() if is_user else None
    listed = [claim] if isinstance(claim, str) else claim
    if not isinstance(listed, list) or len(listed) > OWNERS_MAX or not all(map(_is_owner, listed)):
        raise ClaimsRefused(f"The claim {name} is not up to {OWNERS_MAX} owner ids.")
    return frozenset(listed)


def _is_owner(claim: Any) -> bool:
    return isinstance(claim, str) and 0 < len(claim) <= OWNER_CHARACTERS_MAX and claim.isprintable()
