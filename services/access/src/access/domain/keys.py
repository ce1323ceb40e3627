"""API keys of service accounts: what they may be, and how one replaces another. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from access.domain.accounts import ServiceAccount
from access.domain.grants import Grantor, check_grant
from access.domain.outcomes import Forbidden, Invalid, RefusalCode, Refused
from contracts.scopes import mask_for, mask_of, scope_named

LIVE_MAX: Final = 2
"""Of one account: the one in use and the one that replaces it."""
LIFETIME_DEFAULT: Final = timedelta(days=90)
LIFETIME_MAX: Final = timedelta(days=400)
OVERLAP_MAX: Final = timedelta(days=7)
OWNERS_MAX: Final = 100
OWNER_CHARACTERS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept: the digest of its secret, never the secret.

    *acts_for*: the owners it acts for, None for every owner of the tenant. *ranges*: the networks it may be used from,
    none for anywhere. It ends at *ends_at*: at *expires_at*, or earlier when it was replaced or revoked.
    """

    id: UUID
    tenant_id: UUID
    service_account_id: UUID
    scopes: tuple[str, ...]
    acts_for: tuple[str, ...] | None
    ranges: tuple[str, ...]
    digest: bytes
    created_at: datetime
    expires_at: datetime
    ends_at: datetime
    is_revoked: bool = False
    replaced_by: UUID | None = None

    def is_live(self, now: datetime) -> bool:
        """Tell whether the key is good at *now*."""
        return not self.is_revoked and now < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedKey:
    """What a new key is to be; *expires_at* None: 90 days from now. Its ranges are networks in their one form."""

    scopes: tuple[str, ...]
    acts_for: tuple[str, ...] | None
    ranges: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """The key that is replaced, and the one that replaces it."""

    old: ApiKey
    new: ApiKey


def decide_create(
    wanted: WantedKey,
    *,
    account: ServiceAccount,
    grantor: Grantor,
    siblings: Sequence[ApiKey],
    key_id: UUID,
    digest: bytes,
    now: datetime,
) -> ApiKey | Refused | Forbidden | Invalid:
    """Return the new key of *account*, whose other keys are *siblings*.

    Refused where two of these are live; Forbidden for what *grantor* does not hold itself; Invalid for a scope that the
    account's kind may not hold, for more than 100 owners, and for an expiry that is past or more than 400 days away.
    """
    invalid = _invalid(wanted, account, now)
    if invalid is not None:
        return invalid
    forbidden = check_grant(grantor, kind=account.kind, scopes=mask_of(wanted.scopes), acts_for=wanted.acts_for)
    if forbidden is not None:
        return forbidden
    refused = _refused_beyond(siblings, now)
    if refused is not None:
        return refused
    expires_at = now + LIFETIME_DEFAULT if wanted.expires_at is None else wanted.expires_at
    return ApiKey(
        id=key_id,
        tenant_id=account.tenant_id,
        service_account_id=account.id,
        scopes=wanted.scopes,
        acts_for=wanted.acts_for,
        ranges=wanted.ranges,
        digest=digest,
        created_at=now,
        expires_at=expires_at,
        ends_at=expires_at,
    )


def decide_rotate(
    key: ApiKey,
    *,
    overlap: timedelta,
    account: ServiceAccount,
    grantor: Grantor,
    siblings: Sequence[ApiKey],
    key_id: UUID,
    digest: bytes,
    now: datetime,
) -> Rotation | Refused | Forbidden:
    """Return *key* ending after *overlap*, and a new one of the same powers and lifetime in its place.

    *siblings* are the account's other keys. Refused for a key that is not live, and where two others stay live beside
    the new one; Forbidden for a key of more powers than *grantor* has: it would be handed them with the new secret.
    """
    assert timedelta() <= overlap <= OVERLAP_MAX
    if not key.is_live(now):
        return Refused(RefusalCode.API_KEY_NOT_LIVE, "The key has ended; make a new one.")
    forbidden = check_grant(grantor, kind=account.kind, scopes=mask_of(key.scopes), acts_for=key.acts_for)
    if forbidden is not None:
        return forbidden
    old = replace(key, ends_at=min(key.ends_at, now + overlap), replaced_by=key_id)
    refused = _refused_beyond([*siblings, old], now)
    if refused is not None:
        return refused
    expires_at = now + (key.expires_at - key.created_at)
    new = replace(
        key, id=key_id, digest=digest, created_at=now, expires_at=expires_at, ends_at=expires_at, replaced_by=None
    )
    return Rotation(old, new)


def decide_revoke(key: ApiKey, *, now: datetime) -> ApiKey:
    """Return *key* revoked, as of *now* unless it ended before; one that is revoked stays as it is."""
    return key if key.is_revoked else replace(key, is_revoked=True, ends_at=min(key.ends_at, now))


def _refused_beyond(others: Sequence[ApiKey], now: datetime) -> Refused | None:
    if sum(key.is_live(now) for key in others) < LIVE_MAX:
        return None
    detail = f"A service account has at most {LIVE_MAX} live keys."
    return Refused(RefusalCode.API_KEY_LIMIT_REACHED, detail, {"limit": LIVE_MAX})


def _invalid(wanted: WantedKey, account: ServiceAccount, now: datetime) -> Invalid | None:
    allowed = mask_for(account.kind)
    for index, name in enumerate(wanted.scopes):
        if not scope_named(name).mask & allowed:
            return Invalid(f"/scopes/{index}", "scope_not_for_kind", f"A {account.kind} may not hold the scope {name}.")
    if wanted.acts_for is not None and len(wanted.acts_for) > OWNERS_MAX:
        return Invalid("/acts_for", "too_many", f"A key acts for at most {OWNERS_MAX} owners.")
    if wanted.expires_at is not None and not now < wanted.expires_at <= now + LIFETIME_MAX:
        return Invalid("/expires_at", "invalid_value", f"A key ends within {LIFETIME_MAX.days} days from now.")
    return None
