"""A webhook endpoint, and what its owner's commands make of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from notifications.domain.outcomes import DisabledReason, EndpointStatus, RefusalCode
from notifications.domain.pacing import pay


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a tenant wants to be told. No event types, or no wallets, means all of them.

    *paid_until* is what its paced commands come to.
    """

    id: UUID
    tenant_id: UUID
    url: str
    description: str | None
    event_types: tuple[str, ...]
    wallet_ids: tuple[UUID, ...]
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime
    paid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an endpoint's owner says of it; None leaves a field as it is. An empty description is none."""

    url: str | None = None
    description: str | None = None
    event_types: tuple[str, ...] | None = None
    wallet_ids: tuple[UUID, ...] | None = None


@dataclass(frozen=True, slots=True)
class EndpointUnknown:
    """The tenant has no such endpoint."""


@dataclass(frozen=True, slots=True)
class DeliveryUnknown:
    """The tenant has no such delivery, or it is no longer kept."""


@dataclass(frozen=True, slots=True)
class TooOften:
    """The endpoint had as many such commands as it may have for now; there may be another after *wait*."""

    wait: timedelta


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule says no; *facts* are what a client needs to act."""

    code: RefusalCode
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def decide_create(
    wanted: Wanted, *, endpoint_id: UUID, tenant_id: UUID, count: int, count_max: int, now: datetime
) -> Endpoint | Refused:
    """Return the new endpoint of a tenant that has *count*, unless these are as many as it may have."""
    assert wanted.url is not None
    if count >= count_max:
        detail = f"A tenant has at most {count_max} endpoints."
        return Refused(RefusalCode.ENDPOINT_LIMIT_REACHED, detail, {"limit": count_max})
    return Endpoint(
        id=endpoint_id,
        tenant_id=tenant_id,
        url=wanted.url,
        description=wanted.description or None,
        event_types=wanted.event_types or (),
        wallet_ids=wanted.wallet_ids or (),
        status=EndpointStatus.ACTIVE,
        disabled_reason=None,
        failing_since=None,
        created_at=now,
        updated_at=now,
    )


def decide_change(endpoint: Endpoint, wanted: Wanted, *, now: datetime) -> Endpoint:
    """Return *endpoint* with what *wanted* names replaced."""
    return replace(
        endpoint,
        url=wanted.url or endpoint.url,
        description=endpoint.description if wanted.description is None else wanted.description or None,
        event_types=endpoint.event_types if wanted.event_types is None else wanted.event_types,
        wallet_ids=endpoint.wallet_ids if wanted.wallet_ids is None else wanted.wallet_ids,
        updated_at=now,
    )


def decide_pause(endpoint: Endpoint, *, now: datetime) -> Endpoint | Refused:
    """Return *endpoint* paused; a disabled one is refused."""
    if endpoint.status is EndpointStatus.DISABLED:
        return Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, "The endpoint is disabled.")
    return replace(endpoint, status=EndpointStatus.PAUSED, updated_at=now)


def decide_resume(endpoint: Endpoint, *, now: datetime) -> Endpoint | TooOften:
    """Return *endpoint* active and the command paid for; one that is active already stays as it is otherwise.

    Of a disabled one the record is clean then; a paused one that failed fails from now on, until a success.
    """
    paid = _paid(endpoint, now=now)
    if isinstance(paid, TooOften) or paid.status is EndpointStatus.ACTIVE:
        return paid
    is_failing = paid.status is EndpointStatus.PAUSED and paid.failing_since is not None
    return replace(
        paid,
        status=EndpointStatus.ACTIVE,
        disabled_reason=None,
        failing_since=now if is_failing else None,
        updated_at=now,
    )


def decide_attempts(endpoint: Endpoint, *, now: datetime) -> Endpoint | Refused | TooOften:
    """Return *endpoint* once it has paid for a command that has it sent to, a test or a recovery."""
    refused = _refused_unless_active(endpoint)
    return refused or _paid(endpoint, now=now)


def decide_resend(endpoint: Endpoint | None) -> Refused | None:
    """Return why a delivery to *endpoint*, None where it is deleted, is not attempted again; None where it is."""
    if endpoint is None:
        return Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, "The delivery's endpoint is deleted.")
    return _refused_unless_active(endpoint)


def _refused_unless_active(endpoint: Endpoint) -> Refused | None:
    """Return the refusal of what only an active endpoint may have, None for an active one."""
    if endpoint.status is EndpointStatus.ACTIVE:
        return None
    return Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, f"The endpoint is {endpoint.status}.")


def _paid(endpoint: Endpoint, *, now: datetime) -> Endpoint | TooOften:
    paid = pay(endpoint.paid_until, now=now)
    return TooOften(paid) if isinstance(paid, timedelta) else replace(endpoint, paid_until=paid)
