"""Identities for tests: entities of `access.events`, the credentials that go with them, and how they become known."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey

from contracts.access import (
    ACCESS_STREAM,
    AccessData,
    ApiKeyChanged,
    ClaimMapping,
    IssuerChanged,
    IssuerKey,
    RateLimitsChanged,
    RatePolicyBody,
    ServiceAccountChanged,
    SubjectChanged,
    TenantChanged,
    rate_limits_id,
    subject_id,
)
from contracts.api_keys import SECRET_BYTES, digest_of, make_key
from contracts.envelope import Envelope, rfc3339
from contracts.event_types import EventType
from contracts.ids import new_id, shard_of
from contracts.scopes import Kind, mask_for, names_of
from servicekit.access.projection import AccessProjection
from servicekit.clock import utc_now
from servicekit.postgres import connect, transaction
from testkit.access import TENANT

AUDIENCE: Final = "wallet"
FOR_EVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_TYPES: Final = {each.data: each for each in ACCESS_STREAM.types.values()}
_sequences = count(1)


def event_of(state: AccessData, entity_id: UUID, tenant_id: UUID = TENANT) -> Envelope:
    """Return the event that leaves *state*."""
    event_type: EventType = _TYPES[type(state)]
    return Envelope(
        shard=shard_of(entity_id),
        sequence=next(_sequences),
        event_id=new_id(),
        type=event_type.name,
        source="/access",
        subject=entity_id,
        tenant_id=tenant_id,
        time=utc_now(),
        data=msgspec.json.encode(state),
    )


def tenant_event(tenant_id: UUID = TENANT, *, status: str = "active") -> Envelope:
    """Return the event of a tenant."""
    return event_of(TenantChanged(tenant_id=str(tenant_id), name="Test", status=status), tenant_id, tenant_id)


def subject_event(
    subject: str, tenant_id: UUID = TENANT, *, status: str = "active", valid_from: datetime | None = None
) -> Envelope:
    """Return the event of a subject that was turned off or signed out."""
    at = None if valid_from is None else rfc3339(valid_from)
    state = SubjectChanged(subject=subject, status=status, tokens_valid_from=at)
    return event_of(state, subject_id(tenant_id, subject), tenant_id)


def rates_event(rates: Mapping[str, tuple[int, int]], tenant_id: UUID = TENANT) -> Envelope:
    """Return the event of a tenant's own rates: units a second and burst, by the limit's name."""
    limits = {name: RatePolicyBody(per_s=per_s, burst=burst) for name, (per_s, burst) in rates.items()}
    return event_of(RateLimitsChanged(limits=limits), rate_limits_id(tenant_id), tenant_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestKey:
    """A key: its *text*, and its state, which a test may change and tell again."""

    __test__ = False

    text: str
    state: ApiKeyChanged
    account: ServiceAccountChanged
    tenant_id: UUID

    @property
    def headers(self) -> dict[str, str]:
        """The header of requests under the key."""
        return {"authorization": f"Bearer {self.text}"}

    def events(self, **changes: Any) -> Sequence[Envelope]:
        """Return the events of account and key, with *changes* to the key."""
        state = msgspec.structs.replace(self.state, **changes)
        account = event_of(self.account, UUID(self.account.service_account_id), self.tenant_id)
        return account, event_of(state, UUID(self.state.key_id), self.tenant_id)


def make_test_key(
    kind: Kind = Kind.SERVICE,
    *,
    key_id: UUID | None = None,
    secret: bytes | None = None,
    tenant_id: UUID = TENANT,
    scopes: Iterable[str] | None = None,
    acts_for: Iterable[str] | None = None,
    ranges: Sequence[str] = (),
    ends_at: datetime = FOR_EVER,
) -> TestKey:
    """Return a new key, with every scope of its kind unless *scopes* says otherwise.

    *key_id* and *secret* (32 bytes) are random unless they are given; the account's id follows from the key's.
    """
    key_id, secret = key_id or new_id(), secret or secrets.token_bytes(SECRET_BYTES)
    account_id = UUID(int=key_id.int ^ 1)
    state = ApiKeyChanged(
        key_id=str(key_id),
        service_account_id=str(account_id),
        subject=f"svc:{account_id}",
        kind=kind.value,
        scopes=names_of(mask_for(kind)) if scopes is None else list(scopes),
        acts_for=None if acts_for is None else list(acts_for),
        ranges=list(ranges),
        digest=digest_of(key_id, secret).hex(),
        created_at=rfc3339(utc_now()),
        ends_at=rfc3339(ends_at),
        is_revoked=False,
    )
    account = ServiceAccountChanged(service_account_id=str(account_id), name="test", kind=kind.value, status="active")
    return TestKey(text=make_key(key_id, secret), state=state, account=account, tenant_id=tenant_id)


CLIENTS_KEY: Final = make_test_key(
    key_id=UUID("01900000-0000-7000-8000-00000000c11e"), secret=b"of every database of tests alone"
)
"""A backend's key that is known in every database of tests, and has no limits to speak of."""
CLIENTS_HEADERS: Final = CLIENTS_KEY.headers
_RATE: Final = (1_000_000, 2_000_000)


async def introduce_clients(dsn: str) -> None:
    """Make the tenant of tests, its rates and `CLIENTS_KEY` known."""
    rates = rates_event({"tenant": _RATE, "service": _RATE})
    await introduce(dsn, tenant_event(), rates, *CLIENTS_KEY.events())


@dataclass(slots=True, kw_only=True)
class TestIssuer:
    """An identity provider with one key, and what signs tokens under it."""

    __test__ = False

    name: str = "idp"
    url: str = "https://idp.example/"
    tenant_id: UUID = TENANT
    kinds: Sequence[Kind] = (Kind.USER,)
    claims: ClaimMapping = field(default_factory=ClaimMapping)
    id: UUID = field(default_factory=new_id)
    kid: str = "one"
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    def event(self, **changes: Any) -> Envelope:
        """Return the issuer's event, with *changes* to its state."""
        jwk = {**self.key.as_dict(private=False), "kid": self.kid, "alg": "ES256"}
        state = IssuerChanged(
            issuer_id=str(self.id),
            name=self.name,
            issuer=self.url,
            audience=AUDIENCE,
            status="active",
            kinds=[kind.value for kind in self.kinds],
            claims=self.claims,
            max_lifetime_s=3_600,
            keys=[IssuerKey(kid=self.kid, alg="ES256", jwk=jwk)],
        )
        return event_of(msgspec.structs.replace(state, **changes), self.id, self.tenant_id)

    def token(self, sub: str, *, at: datetime | None = None, lifetime_s: int = 600, **claims: Any) -> str:
        """Return a token of *sub*, with every scope a user may hold unless *claims* say otherwise."""
        now = at or utc_now()
        body = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": sub,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=lifetime_s)).timestamp()),
            "scope": " ".join(names_of(mask_for(self.kinds[0]))),
            **claims,
        }
        return jwt.encode({"alg": "ES256", "kid": self.kid}, body, self.key, algorithms=["ES256"])


async def introduce(dsn: str, *events: Envelope, service: str = "test") -> None:
    """Make *events* known to the service whose database is at *dsn*, as its own consumer would."""
    connection = await connect(dsn, application_name="testkit-identities")
    try:
        async with transaction(connection) as tx:
            await AccessProjection(f"{service}-access").apply(tx, events)
    finally:
        await connection.close()
