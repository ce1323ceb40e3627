"""Tenants. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from access.domain.outcomes import RefusalCode, Refused


class TenantStatus(StrEnum):
    """Whether a tenant's callers are admitted."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whose data is whose: everything of the platform belongs to one tenant."""

    id: UUID
    name: str
    status: TenantStatus
    created_at: datetime
    updated_at: datetime


def decide_status(tenant: Tenant, wanted: TenantStatus, *, caller: UUID, now: datetime) -> Tenant | Refused:
    """Return *tenant* with the status *wanted*; refused for the tenant of the *caller*, who could not undo it."""
    if tenant.id == caller and wanted is TenantStatus.SUSPENDED:
        return Refused(RefusalCode.OWN_TENANT, "Nobody suspends its own tenant: it could not be resumed then.")
    return tenant if tenant.status is wanted else replace(tenant, status=wanted, updated_at=now)
