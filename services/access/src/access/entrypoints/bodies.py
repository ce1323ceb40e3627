"""What a client is answered."""

from datetime import datetime

from pydantic import BaseModel

from access.domain.accounts import ServiceAccount
from access.domain.issuers import Issuer, Polling
from access.domain.limits import RateLimits
from access.domain.subjects import Subject
from access.domain.tenants import Tenant
from access.identities.keys import KeyOf, Made
from contracts.envelope import rfc3339
from contracts.scopes import SCOPES, names_of
from servicekit.principal import Principal


class TenantBody(BaseModel):
    """A tenant; *status* is `active` or `suspended`."""

    id: str
    name: str
    status: str
    created_at: str
    updated_at: str


class TenantsBody(BaseModel):
    """A page of tenants, newest first."""

    data: list[TenantBody]
    next_cursor: str | None


class ClaimsBody(BaseModel):
    """Where an issuer's tokens say what."""

    owners_claim: str | None
    scopes_claim: str | None
    roles_claim: str | None
    roles: dict[str, list[str]]
    tenant_claim: str | None
    kind_claim: str | None


class IssuerKeyBody(BaseModel):
    """A public key of an issuer; *alg* is the one algorithm it verifies."""

    kid: str
    alg: str


class IssuerBody(BaseModel):
    """An issuer with the keys it has now."""

    id: str
    name: str
    issuer: str
    audience: str
    kinds: list[str]
    claims: ClaimsBody
    max_lifetime_s: int
    keys: list[IssuerKeyBody]
    key_set_url: str | None
    is_development: bool
    created_at: str
    updated_at: str


class KeySetFetchingBody(BaseModel):
    """How fetching an issuer's key set goes; *last_error* is the code of the last fetch, null where it succeeded."""

    last_fetch_at: str | None
    last_success_at: str | None
    last_error: str | None
    failing_since: str | None
    consecutive_failures: int


class FetchedIssuerBody(IssuerBody):
    """An issuer, and how fetching its key set goes: null where its keys were given."""

    fetching: KeySetFetchingBody | None


class IssuersBody(BaseModel):
    """A page of issuers, newest first."""

    data: list[IssuerBody]
    next_cursor: str | None


class ServiceAccountBody(BaseModel):
    """A service account; *subject* is whom its keys speak for."""

    id: str
    name: str
    kind: str
    subject: str
    created_at: str
    updated_at: str


class ServiceAccountsBody(BaseModel):
    """A page of service accounts, newest first."""

    data: list[ServiceAccountBody]
    next_cursor: str | None


class ApiKeyBody(BaseModel):
    """A key without its secret. It is good until *ends_at*; *replaced_by* is the key that it was rotated to."""

    id: str
    service_account_id: str
    subject: str
    kind: str
    scopes: list[str]
    acts_for: list[str] | None
    ranges: list[str]
    created_at: str
    expires_at: str
    ends_at: str
    is_revoked: bool
    replaced_by: str | None


class NewApiKeyBody(ApiKeyBody):
    """A new key with its text, which is shown here and nowhere else: `null` in a replay."""

    key: str | None


class RotatedApiKeyBody(NewApiKeyBody):
    """A new key, and the one it replaces, which is good until its *ends_at*."""

    replaced: ApiKeyBody


class ApiKeysBody(BaseModel):
    """A page of keys, newest first."""

    data: list[ApiKeyBody]
    next_cursor: str | None


class SubjectBody(BaseModel):
    """A subject; *status* is `active` or `disabled`. Tokens issued before *tokens_valid_from* are void."""

    subject: str
    status: str
    tokens_valid_from: str | None


class RateBody(BaseModel):
    """A rate: *per_s* units a second on the average, *burst* at once."""

    per_s: int
    burst: int


class RateLimitsBody(BaseModel):
    """A tenant's own rates by the limit's name; what is not among them has the platform's."""

    tenant_id: str
    limits: dict[str, RateBody]


class WhoamiBody(BaseModel):
    """The caller: *acts_for* is null for every owner of the tenant."""

    tenant_id: str
    subject: str
    kind: str
    scopes: list[str]
    acts_for: list[str] | None
    credential_id: str


class ScopeBody(BaseModel):
    """A scope, and the kinds of callers that may hold it."""

    name: str
    kinds: list[str]
    meaning: str


class ScopesBody(BaseModel):
    """Every scope."""

    data: list[ScopeBody]


def tenant_body(tenant: Tenant) -> TenantBody:
    """Return *tenant* as it is shown."""
    return TenantBody(
        id=str(tenant.id),
        name=tenant.name,
        status=tenant.status,
        created_at=rfc3339(tenant.created_at),
        updated_at=rfc3339(tenant.updated_at),
    )


def issuer_body(issuer: Issuer) -> IssuerBody:
    """Return *issuer* as it is shown."""
    claims = issuer.claims
    return IssuerBody(
        id=str(issuer.id),
        name=issuer.name,
        issuer=issuer.issuer,
        audience=issuer.audience,
        kinds=list(issuer.kinds),
        claims=ClaimsBody(
            owners_claim=claims.owners_claim,
            scopes_claim=claims.scopes_claim,
            roles_claim=claims.roles_claim,
            roles=claims.roles,
            tenant_claim=claims.tenant_claim,
            kind_claim=claims.kind_claim,
        ),
        max_lifetime_s=issuer.max_lifetime_s,
        keys=[IssuerKeyBody(kid=key.kid, alg=key.alg) for key in issuer.keys],
        key_set_url=issuer.key_set_url,
        is_development=issuer.is_development,
        created_at=rfc3339(issuer.created_at),
        updated_at=rfc3339(issuer.updated_at),
    )


def fetched_issuer_body(issuer: Issuer, polling: Polling) -> FetchedIssuerBody:
    """Return *issuer* as it is shown, with how fetching its keys goes."""
    fetching = None
    if issuer.key_set_url is not None:
        fetching = KeySetFetchingBody(
            last_fetch_at=_moment(polling.attempted_at),
            last_success_at=_moment(polling.fetched_at),
            last_error=polling.failure,
            failing_since=_moment(polling.failing_since),
            consecutive_failures=polling.failures,
        )
    return FetchedIssuerBody(**issuer_body(issuer).model_dump(), fetching=fetching)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def account_body(account: ServiceAccount) -> ServiceAccountBody:
    """Return *account* as it is shown."""
    return ServiceAccountBody(
        id=str(account.id),
        name=account.name,
        kind=account.kind,
        subject=account.subject,
        created_at=rfc3339(account.created_at),
        updated_at=rfc3339(account.updated_at),
    )


def key_body(shown: KeyOf) -> ApiKeyBody:
    """Return a key as it is shown."""
    key = shown.key
    return ApiKeyBody(
        id=str(key.id),
        service_account_id=str(key.service_account_id),
        subject=shown.subject,
        kind=shown.kind,
        scopes=list(key.scopes),
        acts_for=None if key.acts_for is None else list(key.acts_for),
        ranges=list(key.ranges),
        created_at=rfc3339(key.created_at),
        expires_at=rfc3339(key.expires_at),
        ends_at=rfc3339(key.ends_at),
        is_revoked=key.is_revoked,
        replaced_by=None if key.replaced_by is None else str(key.replaced_by),
    )


def new_key_body(made: Made, text: str | None) -> NewApiKeyBody:
    """Return a new key with its *text*, None where it is stored or replayed."""
    return NewApiKeyBody(**key_body(made.made).model_dump(), key=text)


def rotated_key_body(made: Made, text: str | None) -> RotatedApiKeyBody:
    """Return a new key with its *text*, None where it is stored or replayed, and the key that it replaces."""
    assert made.replaced is not None, "a rotation replaces a key"
    return RotatedApiKeyBody(**key_body(made.made).model_dump(), key=text, replaced=key_body(made.replaced))


def subject_body(subject: Subject) -> SubjectBody:
    """Return *subject* as it is shown."""
    since = subject.tokens_valid_from
    return SubjectBody(
        subject=subject.subject,
        status=subject.status,
        tokens_valid_from=None if since is None else rfc3339(since),
    )


def limits_body(limits: RateLimits) -> RateLimitsBody:
    """Return a tenant's rates as they are shown."""
    rates = {name: RateBody(per_s=rate.per_s, burst=rate.burst) for name, rate in limits.rates.items()}
    return RateLimitsBody(tenant_id=str(limits.tenant_id), limits=rates)


def whoami_body(caller: Principal) -> WhoamiBody:
    """Return *caller* as it is told who it is."""
    return WhoamiBody(
        tenant_id=str(caller.tenant_id),
        subject=caller.subject,
        kind=caller.kind,
        scopes=names_of(caller.scopes),
        acts_for=None if caller.acts_for is None else sorted(caller.acts_for),
        credential_id=caller.credential_id,
    )


def scopes_body() -> ScopesBody:
    """Return the registry of scopes."""
    return ScopesBody(
        data=[ScopeBody(name=each.name, kinds=sorted(each.kinds), meaning=each.meaning) for each in SCOPES]
    )
