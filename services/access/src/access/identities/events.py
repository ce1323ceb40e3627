"""The event of each entity: its whole state after a change."""

from collections.abc import Mapping
from datetime import datetime
from functools import singledispatch
from uuid import UUID

import msgspec

from access.domain.accounts import ServiceAccount
from access.domain.issuers import Issuer
from access.domain.keys import ApiKey
from access.domain.limits import RateLimits
from access.domain.subjects import Subject
from access.domain.tenants import Tenant
from contracts.access import (
    API_KEY_CHANGED,
    ISSUER_CHANGED,
    RATE_LIMITS_CHANGED,
    SERVICE_ACCOUNT_CHANGED,
    SUBJECT_CHANGED,
    TENANT_CHANGED,
    ApiKeyChanged,
    IssuerChanged,
    RateLimitsChanged,
    RatePolicyBody,
    ServiceAccountChanged,
    SubjectChanged,
    TenantChanged,
    rate_limits_id,
    subject_id,
)
from contracts.envelope import rfc3339
from contracts.event_types import EventType
from contracts.ids import new_id
from servicekit.relay.outbox import OutboxEvent


class Keyed(msgspec.Struct, frozen=True):
    """A key with its account: the event of a key says whose it is and of what kind."""

    key: ApiKey
    account: ServiceAccount


Changed = Tenant | Issuer | ServiceAccount | Keyed | Subject | RateLimits
_Told = tuple[UUID, UUID, EventType, msgspec.Struct]
"""The tenant, the entity's id, the type and the body."""


def event_of(changed: Changed, *, now: datetime) -> OutboxEvent:
    """Return the event of what *changed* at *now*."""
    tenant_id, subject, event_type, data = _told(changed)
    return OutboxEvent(
        event_id=new_id(), tenant_id=tenant_id, subject=subject, type=event_type, data=data, occurred_at=now
    )


@singledispatch
def _told(changed: Changed) -> _Told:
    raise AssertionError(f"no event of {type(changed)}")


@_told.register
def _(tenant: Tenant) -> _Told:
    data = TenantChanged(tenant_id=str(tenant.id), name=tenant.name, status=tenant.status.value)
    return tenant.id, tenant.id, TENANT_CHANGED, data


@_told.register
def _(issuer: Issuer) -> _Told:
    data = IssuerChanged(
        issuer_id=str(issuer.id),
        name=issuer.name,
        issuer=issuer.issuer,
        audience=issuer.audience,
        status=issuer.status.value,
        kinds=[kind.value for kind in issuer.kinds],
        claims=issuer.claims,
        max_lifetime_s=issuer.max_lifetime_s,
        keys=list(issuer.keys),
        is_development=issuer.is_development,
    )
    return issuer.tenant_id, issuer.id, ISSUER_CHANGED, data


@_told.register
def _(account: ServiceAccount) -> _Told:
    data = ServiceAccountChanged(
        service_account_id=str(account.id),
        name=account.name,
        kind=account.kind.value,
        status=account.status.value,
    )
    return account.tenant_id, account.id, SERVICE_ACCOUNT_CHANGED, data


@_told.register
def _(keyed: Keyed) -> _Told:
    key, account = keyed.key, keyed.account
    data = ApiKeyChanged(
        key_id=str(key.id),
        service_account_id=str(account.id),
        subject=account.subject,
        kind=account.kind.value,
        scopes=list(key.scopes),
        acts_for=None if key.acts_for is None else list(key.acts_for),
        ranges=list(key.ranges),
        digest=key.digest.hex(),
        created_at=rfc3339(key.created_at),
        ends_at=rfc3339(key.ends_at),
        is_revoked=key.is_revoked,
    )
    return key.tenant_id, key.id, API_KEY_CHANGED, data


@_told.register
def _(subject: Subject) -> _Told:
    since = subject.tokens_valid_from
    data = SubjectChanged(
        subject=subject.subject,
        status=subject.status.value,
        tokens_valid_from=None if since is None else rfc3339(since),
    )
    return subject.tenant_id, subject_id(subject.tenant_id, subject.subject), SUBJECT_CHANGED, data


@_told.register
def _(limits: RateLimits) -> _Told:
    told: Mapping[str, RatePolicyBody] = {
        name: RatePolicyBody(per_s=rate.per_s, burst=rate.burst) for name, rate in limits.rates.items()
    }
    data = RateLimitsChanged(limits=dict(told))
    return limits.tenant_id, rate_limits_id(limits.tenant_id), RATE_LIMITS_CHANGED, data
