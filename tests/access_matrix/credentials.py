"""The credentials of the matrix's callers, and the events that make them known."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from tests.access_matrix.callers import (
    EXPIRED_TOKEN,
    FORGED_ADDRESS,
    NO_CREDENTIAL,
    OURS,
    SUSPENDED,
    THEIRS,
    WRONG_AUDIENCE,
    Caller,
    Holds,
)
from tests.openapi.targets import UNBOUNDED

from contracts.envelope import Envelope
from contracts.scopes import SCOPES, Kind, Scope, mask_for, names_of
from servicekit.clock import utc_now
from testkit.identities import TestIssuer, TestKey, make_test_key, rates_event, tenant_event

AN_HOUR: Final = timedelta(hours=1)
ALLOWED: Final = "10.9.0.0/16"
"""The one network that the key of `FORGED_ADDRESS` may be used from."""
EVERY_SCOPE: Final = frozenset(SCOPES)


@dataclass(slots=True)
class Credentials:
    """Makes what callers send, each once, and keeps the *events* that nobody was told of yet."""

    events: list[Envelope] = field(default_factory=list)
    _keys: dict[tuple[str, frozenset[Scope]], TestKey] = field(default_factory=dict)
    _tokens: dict[tuple[str, frozenset[Scope]], str] = field(default_factory=dict)
    _issuers: dict[UUID, TestIssuer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for tenant_id in (OURS, THEIRS, SUSPENDED):
            issuer = self._issuers[tenant_id] = _issuer(tenant_id)
            status = "suspended" if tenant_id == SUSPENDED else "active"
            self.events += [tenant_event(tenant_id, status=status), issuer.event(), rates_event(UNBOUNDED, tenant_id)]

    def untold(self) -> Sequence[Envelope]:
        """Return the events since the last call."""
        events, self.events = self.events, []
        return events

    def headers(self, caller: Caller, needed: Iterable[Scope]) -> dict[str, str]:
        """Return the header of *caller* for a request that needs the scopes *needed*, none if it has no credential."""
        if caller is NO_CREDENTIAL:
            return {}
        scopes = _scopes(caller, frozenset(needed))
        if caller.kind is Kind.USER:
            return {"Authorization": f"Bearer {self._token(caller, scopes)}"}
        return self.key(caller, scopes).headers

    def key(self, caller: Caller, scopes: frozenset[Scope]) -> TestKey:
        """Return the caller's key with *scopes*."""
        known = caller.name, scopes
        if known not in self._keys:
            self.replace_key(caller, scopes)
        return self._keys[known]

    def replace_key(self, caller: Caller, scopes: frozenset[Scope]) -> TestKey:
        """Make the caller another key with *scopes*."""
        key = self._keys[caller.name, scopes] = make_test_key(
            caller.kind,
            tenant_id=caller.tenant_id,
            scopes=sorted(scope.name for scope in scopes),
            acts_for=None if caller.owners is None else sorted(caller.owners),
            ranges=[ALLOWED] if caller is FORGED_ADDRESS else [],
        )
        self.events.extend(key.events())
        return key

    def _token(self, caller: Caller, scopes: frozenset[Scope]) -> str:
        known = caller.name, scopes
        if known not in self._tokens:
            at = utc_now() - AN_HOUR if caller is EXPIRED_TOKEN else None
            other = {"aud": "another"} if caller is WRONG_AUDIENCE else {}
            scope = " ".join(sorted(each.name for each in scopes))
            self._tokens[known] = self._issuers[caller.tenant_id].token(
                caller.home.owner, at=at, lifetime_s=3_000, scope=scope, **other
            )
        return self._tokens[known]


def _issuer(tenant_id: UUID) -> TestIssuer:
    name = str(tenant_id)
    return TestIssuer(name=f"i{name[-12:]}", url=f"https://{name}.example/", tenant_id=tenant_id)


def _scopes(caller: Caller, needed: frozenset[Scope]) -> frozenset[Scope]:
    """Return the scopes that the caller's credential names: a user's, all that there are, whoever may hold them."""
    match caller.holds:
        case Holds.ALL:
            return EVERY_SCOPE if caller.kind is Kind.USER else _of_kind(caller.kind)
        case Holds.OTHERS:
            return (EVERY_SCOPE if caller.kind is Kind.USER else _of_kind(caller.kind)) - needed
        case Holds.NEEDED:
            return needed


def _of_kind(kind: Kind) -> frozenset[Scope]:
    names = set(names_of(mask_for(kind)))
    return frozenset(scope for scope in SCOPES if scope.name in names)
