"""A credential is verified once: what it proves, as the directory has it now."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from contracts import problems
from contracts.access import (
    ApiKeyChanged,
    IssuerChanged,
    ServiceAccountChanged,
    SubjectChanged,
    TenantChanged,
    subject_id,
)
from contracts.api_keys import PREFIX, ApiKey, parse_key
from contracts.problems import ProblemCode
from contracts.scopes import Kind, known_mask_of, mask_for
from contracts.times import parse_instant
from servicekit.access.directory import ISSUERS_MAX, Directory, Entity
from servicekit.access.ranges import parse_ranges
from servicekit.access.tokens import Refusal, TokenPrincipal, TokenRefused, read_unverified, verify_token
from servicekit.client_address import Network
from servicekit.limits import Charge, Limit
from servicekit.principal import Principal, ReservedSubject, client_of

ACTIVE: Final = "active"

S = TypeVar("S")

_LIMIT_OF: Final = {Kind.USER: Limit.USER, Kind.SERVICE: Limit.SERVICE, Kind.OPERATOR: Limit.OPERATOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A verified credential: good until *ends_at* (seconds since 1970), from an address in *ranges* if there are any.

    It follows from the state of the entities *stands_on*: when one of them changes, it is verified anew. *charges* are
    what each request under it takes from, whatever it asks: its principal's limit and its tenant's.
    """

    principal: Principal
    ends_at: float
    ranges: tuple[Network, ...]
    stands_on: frozenset[UUID]
    charges: tuple[Charge, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "charges", _charges(self.principal))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A credential that proves nothing; *stands_on* are the entities whose change may alter that."""

    code: ProblemCode
    detail: str
    stands_on: frozenset[UUID] = frozenset()


UNKNOWN: Final = Refused(code=problems.UNAUTHENTICATED, detail="The credential is not known.")
MALFORMED: Final = Refused(code=problems.UNAUTHENTICATED, detail="The credential is neither an API key nor a token.")


async def verify(text: str, directory: Directory, now: datetime) -> Credential | Refused:
    """Return what the bearer credential *text* proves at *now*.

    Who did not prove the secret learns nothing but `unauthenticated`.
    """
    if text.startswith(PREFIX):
        key = parse_key(text)
        return MALFORMED if key is None else await _verify_key(key, directory)
    claimed = read_unverified(text)
    return MALFORMED if claimed is None else await _verify_token(text, claimed.issuer, directory, now)


async def _verify_key(key: ApiKey, directory: Directory) -> Credential | Refused:
    found = (await directory.entities([key.id])).get(key.id)
    if found is None or not isinstance(found.state, ApiKeyChanged):
        return Refused(code=UNKNOWN.code, detail=UNKNOWN.detail, stands_on=frozenset({key.id}))
    state = found.state
    account_id = UUID(state.service_account_id)
    ids = [found.tenant_id, account_id, subject_id(found.tenant_id, state.subject)]
    stands_on = frozenset({key.id, *ids})
    if not hmac.compare_digest(bytes.fromhex(state.digest), key.digest):
        return Refused(code=UNKNOWN.code, detail=UNKNOWN.detail, stands_on=stands_on)
    around = await directory.entities(ids)
    account = _state(around, account_id, ServiceAccountChanged)
    if state.is_revoked or account is None or account.status != ACTIVE:
        return Refused(code=problems.KEY_REVOKED, detail="The key is revoked.", stands_on=stands_on)
    if not _may_act(around, found.tenant_id, state.subject):
        return Refused(code=UNKNOWN.code, detail="The tenant or the subject may not act.", stands_on=stands_on)
    kind = Kind(state.kind)
    return Credential(
        principal=Principal(
            tenant_id=found.tenant_id,
            subject=state.subject,
            client=client_of(found.tenant_id, state.subject),
            kind=kind,
            scopes=known_mask_of(state.scopes) & mask_for(kind),
            acts_for=None if state.acts_for is None else frozenset(state.acts_for),
            credential_id=state.key_id,
        ),
        ends_at=parse_instant(state.ends_at).timestamp(),
        ranges=parse_ranges(state.ranges),
        stands_on=stands_on,
    )


async def _verify_token(text: str, url: str, directory: Directory, now: datetime) -> Credential | Refused:
    issuers = await directory.issuers(url)
    stands_on = frozenset(issuer.id for issuer in issuers)
    if len(issuers) > ISSUERS_MAX:
        return Refused(code=UNKNOWN.code, detail="Too many have registered the token's issuer.", stands_on=stands_on)
    tried = [
        verify_token(text, issuer.state, tenant_id=issuer.tenant_id, now=now)
        for issuer in sorted(issuers, key=lambda issuer: issuer.id)
        if isinstance(issuer.state, IssuerChanged) and issuer.state.status == ACTIVE
    ]
    # Who registered the issuer first has it: nobody takes another's tokens by registering it again.
    token = next((each for each in tried if isinstance(each, TokenPrincipal)), None)
    if token is None:
        return _not_proved(tried, stands_on)
    ids = [token.tenant_id, subject_id(token.tenant_id, token.subject)]
    around = await directory.entities(ids)
    stands_on |= set(ids)
    if not _may_act(around, token.tenant_id, token.subject, token.issued_at):
        return Refused(code=UNKNOWN.code, detail="The tenant or the subject may not act.", stands_on=stands_on)
    try:
        principal = Principal(
            tenant_id=token.tenant_id,
            subject=token.subject,
            client=client_of(token.tenant_id, token.subject),
            kind=Kind(token.kind),
            scopes=token.scopes,
            acts_for=token.acts_for,
            credential_id=f"{token.issuer_id}/{token.kid}",
        )
    except ReservedSubject as reserved:
        return Refused(code=UNKNOWN.code, detail=str(reserved), stands_on=stands_on)
    return Credential(principal=principal, ends_at=token.ends_at.timestamp(), ranges=(), stands_on=stands_on)


def _not_proved(tried: Sequence[TokenPrincipal | TokenRefused], stands_on: frozenset[UUID]) -> Refused:
    for each in tried:
        if isinstance(each, TokenRefused) and each.reason is Refusal.TOKEN_EXPIRED:
            return Refused(code=problems.TOKEN_EXPIRED, detail=each.detail, stands_on=stands_on)
    detail = "The token is not good here." if tried else "The token's issuer is not known here."
    return Refused(code=UNKNOWN.code, detail=detail, stands_on=stands_on)


def _charges(principal: Principal) -> tuple[Charge, ...]:
    tenant = principal.tenant_id.bytes
    return Charge(_LIMIT_OF[principal.kind], principal.client.bytes, tenant), Charge(Limit.TENANT, tenant, tenant)


def _may_act(around: Mapping[UUID, Entity], tenant_id: UUID, subject: str, issued_at: datetime | None = None) -> bool:
    """Tell whether tenant and subject may act: a tenant must be known and active, a subject not be turned off."""
    tenant = _state(around, tenant_id, TenantChanged)
    if tenant is None or tenant.status != ACTIVE:
        return False
    known = _state(around, subject_id(tenant_id, subject), SubjectChanged)
    if known is None:
        return True
    if known.status != ACTIVE:
        return False
    valid_from = None if known.tokens_valid_from is None else parse_instant(known.tokens_valid_from)
    return issued_at is None or valid_from is None or issued_at >= valid_from


def _state(around: Mapping[UUID, Entity], entity_id: UUID, kind: type[S]) -> S | None:
    found = around.get(entity_id)
    return found.state if found is not None and isinstance(found.state, kind) else None
