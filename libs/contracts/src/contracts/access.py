"""The events of `access.events`: who may do what. Each carries the whole state of its entity after the change.

The subject of an event is the entity: the tenant, issuer, service account or key by its id, a subject by `subject_id`,
a tenant's rate limits by `rate_limits_id`. A reader keeps the last state of each and needs no history.
"""

from typing import Any, Final
from uuid import UUID

import msgspec

from contracts.event_types import EventStream, EventType
from contracts.ids import digest_id
from contracts.topics import ACCESS_EVENTS


class TenantChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant: `active` or `suspended`. Nobody of a suspended tenant is admitted."""

    tenant_id: str
    name: str
    status: str


class ClaimMapping(msgspec.Struct, frozen=True, kw_only=True):
    """Where an issuer's tokens say what a principal needs.

    The tenant is the issuer's own unless *tenant_claim* names a claim. Owner ids come from *owners_claim*: a text, or a
    list of at most 20; `sub` is an owner for users alone. Scopes come from *scopes_claim* (a text with spaces, or a
    list), and from *roles_claim* through *roles* (a role to scopes). The kind is the issuer's only one, unless
    *kind_claim* names a claim. A claim is named by its name, or by a path with dots.
    """

    owners_claim: str | None = "sub"
    scopes_claim: str | None = "scope"
    roles_claim: str | None = None
    roles: dict[str, list[str]] = {}
    tenant_claim: str | None = None
    kind_claim: str | None = None


class IssuerKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of an issuer: *alg* is the one algorithm it verifies, *jwk* its members (RFC 7517)."""

    kid: str
    alg: str
    jwk: dict[str, Any]


class IssuerChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An identity provider: `active` or `deleted`. *name* begins its subjects: `<name>|<sub>`.

    *is_development* marks one whose private key everybody knows: no process in production starts with it.
    """

    issuer_id: str
    name: str
    issuer: str
    audience: str
    status: str
    kinds: list[str]
    claims: ClaimMapping
    max_lifetime_s: int
    keys: list[IssuerKey]
    is_development: bool = False


class ServiceAccountChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A backend's or a member of staff's account: `active` or `deleted`. Its keys are entities of their own."""

    service_account_id: str
    name: str
    kind: str
    status: str


class ApiKeyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a service account.

    *digest* is the SHA-256 over id and secret in hexadecimal. *acts_for*: the owners it acts for, None for every owner
    of the tenant. *ranges*: the networks it may be used from, none for anywhere. It ends at *ends_at*: its expiry, or
    earlier the end of its overlap with the key that replaced it, or its revocation.
    """

    key_id: str
    service_account_id: str
    subject: str
    kind: str
    scopes: list[str]
    acts_for: list[str] | None
    ranges: list[str]
    digest: str
    created_at: str
    ends_at: str
    is_revoked: bool


class SubjectChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A subject that was disabled, enabled or signed out: tokens issued before *tokens_valid_from* are void."""

    subject: str
    status: str
    tokens_valid_from: str | None


class RatePolicyBody(msgspec.Struct, frozen=True, kw_only=True):
    """A rate: *per_s* units a second on the average, *burst* at once."""

    per_s: int
    burst: int


class RateLimitsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's own rates by the limit's name; what is not among them has the platform's."""

    limits: dict[str, RatePolicyBody]


AccessData = TenantChanged | IssuerChanged | ServiceAccountChanged | ApiKeyChanged | SubjectChanged | RateLimitsChanged

TENANT_CHANGED: Final = EventType(13, "access.tenant_changed.v1", TenantChanged)
ISSUER_CHANGED: Final = EventType(14, "access.issuer_changed.v1", IssuerChanged)
SERVICE_ACCOUNT_CHANGED: Final = EventType(15, "access.service_account_changed.v1", ServiceAccountChanged)
API_KEY_CHANGED: Final = EventType(16, "access.api_key_changed.v1", ApiKeyChanged)
SUBJECT_CHANGED: Final = EventType(17, "access.subject_changed.v1", SubjectChanged)
RATE_LIMITS_CHANGED: Final = EventType(18, "access.rate_limits_changed.v1", RateLimitsChanged)

ACCESS_STREAM: Final[EventStream[AccessData]] = EventStream(
    ACCESS_EVENTS,
    (
        TENANT_CHANGED,
        ISSUER_CHANGED,
        SERVICE_ACCOUNT_CHANGED,
        API_KEY_CHANGED,
        SUBJECT_CHANGED,
        RATE_LIMITS_CHANGED,
    ),
)


def subject_id(tenant_id: UUID, subject: str) -> UUID:
    """Return the stable id of a tenant's subject: what `SubjectChanged` is about, and whose idempotency keys are."""
    return digest_id(tenant_id.bytes + subject.encode())


def rate_limits_id(tenant_id: UUID) -> UUID:
    """Return the stable id of a tenant's rate limits."""
    return digest_id(tenant_id.bytes + b"|rate-limits")
