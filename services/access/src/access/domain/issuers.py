"""Issuers: identity providers whose tokens are believed. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from access.domain.grants import Grantor, check_issuance
from access.domain.outcomes import Forbidden, Invalid, RefusalCode, Refused
from contracts.access import ClaimMapping, IssuerKey
from contracts.scopes import TENANTS_WRITE, Kind

ISSUERS_MAX: Final = 20
"""Of one tenant."""
LIFETIME_S_MIN: Final = 60
LIFETIME_S_MAX: Final = 86_400
LIFETIME_S_DEFAULT: Final = 3_600
KEPT_FOR: Final = timedelta(hours=24)
"""How long the last good keys are believed while no others can be fetched."""


class IssuerStatus(StrEnum):
    """Whether an issuer's tokens are believed. A deleted one is not found any more, and its name stays taken."""

    ACTIVE = "active"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An identity provider. Its *keys* are those given, or those last fetched from *key_set_url*."""

    id: UUID
    tenant_id: UUID
    name: str
    issuer: str
    audience: str
    status: IssuerStatus
    kinds: tuple[Kind, ...]
    claims: ClaimMapping
    max_lifetime_s: int
    keys: tuple[IssuerKey, ...]
    key_set_url: str | None
    is_development: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedIssuer:
    """What an issuer is to be: all of it but its name, which never changes. Either *keys* or *key_set_url* is given."""

    issuer: str
    audience: str
    kinds: tuple[Kind, ...]
    claims: ClaimMapping
    max_lifetime_s: int
    keys: tuple[IssuerKey, ...] | None
    key_set_url: str | None
    is_development: bool = False


def decide_create(
    wanted: WantedIssuer,
    name: str,
    *,
    grantor: Grantor,
    issuer_id: UUID,
    tenant_id: UUID,
    count: int,
    now: datetime,
) -> Issuer | Refused | Forbidden | Invalid:
    """Return the new issuer of a tenant that has *count*."""
    if count >= ISSUERS_MAX:
        detail = f"A tenant has at most {ISSUERS_MAX} issuers."
        return Refused(RefusalCode.ISSUER_LIMIT_REACHED, detail, {"limit": ISSUERS_MAX})
    new = Issuer(
        id=issuer_id,
        tenant_id=tenant_id,
        name=name,
        issuer=wanted.issuer,
        audience=wanted.audience,
        status=IssuerStatus.ACTIVE,
        kinds=(),
        claims=wanted.claims,
        max_lifetime_s=wanted.max_lifetime_s,
        keys=(),
        key_set_url=None,
        is_development=wanted.is_development,
        created_at=now,
        updated_at=now,
    )
    return decide_change(new, wanted, grantor=grantor, now=now)


def decide_change(
    issuer: Issuer, wanted: WantedIssuer, *, grantor: Grantor, now: datetime
) -> Issuer | Forbidden | Invalid:
    """Return *issuer* as *wanted*.

    Forbidden unless *grantor* holds all that tokens of its kinds could give, those from before too, and
    `tenants:write` where a claim names the tenant; Invalid for several kinds without a claim that tells which. Keys
    that were fetched stay until others are, unless the URL changes.
    """
    forbidden = check_issuance(grantor, {*issuer.kinds, *wanted.kinds})
    if forbidden is not None:
        return forbidden
    names_tenants = wanted.claims.tenant_claim is not None or issuer.claims.tenant_claim is not None
    if names_tenants and not grantor.scopes & TENANTS_WRITE.mask:
        return Forbidden("Only who may make tenants lets tokens name them.", TENANTS_WRITE.name)
    if len(wanted.kinds) > 1 and wanted.claims.kind_claim is None:
        return Invalid("/claims/kind_claim", "missing", "With several kinds a claim must tell which it is.")
    kept = issuer.keys if wanted.key_set_url is not None and wanted.key_set_url == issuer.key_set_url else ()
    return replace(
        issuer,
        issuer=wanted.issuer,
        audience=wanted.audience,
        kinds=wanted.kinds,
        claims=wanted.claims,
        max_lifetime_s=wanted.max_lifetime_s,
        keys=kept if wanted.keys is None else wanted.keys,
        key_set_url=wanted.key_set_url,
        updated_at=now,
    )


def decide_delete(issuer: Issuer, *, now: datetime) -> Issuer:
    """Return *issuer* deleted, without keys."""
    return replace(issuer, status=IssuerStatus.DELETED, keys=(), updated_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How fetching an issuer's keys goes: *failing_since* is the first failure after the last success, None: none.

    *attempted_at* is the last fetch, *fetched_at* the last that succeeded; *failure* is the code of the last one that
    failed since, and *failures* counts those.
    """

    etag: str | None = None
    failing_since: datetime | None = None
    failure: str | None = None
    fetched_at: datetime | None = None
    attempted_at: datetime | None = None
    failures: int = 0

    def succeeded(self, etag: str | None, now: datetime) -> "Polling":
        """Return how it goes after a fetch that brought the key set under *etag*, or showed that it is the same."""
        return Polling(etag=etag, fetched_at=now, attempted_at=now)

    def failed(self, code: str, now: datetime) -> "Polling":
        """Return how it goes after a fetch that failed with *code*."""
        since = self.failing_since or now
        return replace(self, failing_since=since, failure=code, attempted_at=now, failures=self.failures + 1)


@dataclass(frozen=True, slots=True)
class GoodKeys:
    """A key set was fetched; with its *etag* the next request asks for what has changed since."""

    keys: tuple[IssuerKey, ...]
    etag: str | None


@dataclass(frozen=True, slots=True)
class SameKeys:
    """The key set is the one that was fetched last."""


@dataclass(frozen=True, slots=True)
class NoKeys:
    """No key set could be had; *code* says why."""

    code: str


Polled = GoodKeys | SameKeys | NoKeys


def decide_polled(issuer: Issuer, polling: Polling, polled: Polled, *, now: datetime) -> tuple[Issuer, Polling]:
    """Return *issuer* with the keys it has then, and how fetching goes.

    While none can be fetched the last good ones stay for 24 hours; then the issuer has none, and what comes next is
    fetched as a whole.
    """
    match polled:
        case GoodKeys(keys=keys, etag=etag):
            same = keys == issuer.keys
            changed = issuer if same else replace(issuer, keys=keys, updated_at=now)
            return changed, polling.succeeded(etag, now)
        case SameKeys():
            return issuer, polling.succeeded(polling.etag, now)
        case NoKeys(code=code):
            failed = polling.failed(code, now)
            if not issuer.keys or now - (failed.failing_since or now) < KEPT_FOR:
                return issuer, failed
            return replace(issuer, keys=(), updated_at=now), replace(failed, etag=None)
