"""Service accounts: backends and members of staff, who come with API keys. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from access.domain.grants import Grantor, check_grant
from access.domain.outcomes import Forbidden, RefusalCode, Refused
from access.domain.subjects import account_subject
from contracts.scopes import Kind

ACCOUNTS_MAX: Final = 1_000
"""Of one tenant."""
KINDS: Final = frozenset({Kind.SERVICE, Kind.OPERATOR})
"""Users come with tokens."""


class AccountStatus(StrEnum):
    """Whether an account may have keys. A deleted one is not found any more."""

    ACTIVE = "active"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A backend's or a member of staff's account."""

    id: UUID
    tenant_id: UUID
    name: str
    kind: Kind
    status: AccountStatus
    created_at: datetime
    updated_at: datetime

    @property
    def subject(self) -> str:
        """Who its keys speak for: it stays the same whichever key is used."""
        return account_subject(self.id)


def decide_create(
    name: str, kind: Kind, *, grantor: Grantor, account_id: UUID, tenant_id: UUID, count: int, now: datetime
) -> ServiceAccount | Refused | Forbidden:
    """Return the new account of a tenant that has *count*."""
    assert kind in KINDS
    forbidden = check_grant(grantor, kind=kind, scopes=0, acts_for=())
    if forbidden is not None:
        return forbidden
    if count >= ACCOUNTS_MAX:
        detail = f"A tenant has at most {ACCOUNTS_MAX} service accounts."
        return Refused(RefusalCode.SERVICE_ACCOUNT_LIMIT_REACHED, detail, {"limit": ACCOUNTS_MAX})
    return ServiceAccount(
        id=account_id,
        tenant_id=tenant_id,
        name=name,
        kind=kind,
        status=AccountStatus.ACTIVE,
        created_at=now,
        updated_at=now,
    )


def decide_rename(account: ServiceAccount, name: str, *, now: datetime) -> ServiceAccount:
    """Return *account* under another name."""
    return account if account.name == name else replace(account, name=name, updated_at=now)


def decide_delete(account: ServiceAccount, *, now: datetime) -> ServiceAccount:
    """Return *account* deleted; whoever does this revokes its keys."""
    return replace(account, status=AccountStatus.DELETED, updated_at=now)
