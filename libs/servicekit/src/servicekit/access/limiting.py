"""What callers may spend: their limits on abuse, charged at admission, and told in headers and refusals."""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec

from contracts.access import RateLimitsChanged
from contracts.scopes import Kind
from servicekit.access.admission import Allowance, Cost, Limited, RawHeaders
from servicekit.access.credentials import Credential
from servicekit.client_address import CACHED_MAX, Client
from servicekit.limits import DEFAULT_POLICY, Charge, Limit, Limits, Rate, RatePolicy
from servicekit.limits.admission import Admission, Admitted, BeyondBurst
from servicekit.limits.admission import Limited as Refused
from servicekit.limits.headers import limit_value, policy_value, retry_after_s
from servicekit.limits.strict import take_strictly
from servicekit.postgres import Transaction
from servicekit.principal import Principal

_LIMITS: Final = frozenset(each.name for each in fields(RatePolicy))


class CallerLimits:
    """Charges callers to *limits*: their tenant's, their own, a user's wallets and addresses."""

    def __init__(self, limits: Limits, default: RatePolicy = DEFAULT_POLICY) -> None:
        self._limits = limits
        self._default = default

    def may_authenticate(self, client: Client) -> None:
        """Raise Limited where too many credentials from the client's address were refused, before one is verified."""
        refused = self._limits.may_authenticate(client.bucket)
        if refused is not None:
            raise _limited(refused)

    def failed(self, client: Client) -> None:
        """Charge the client's address for a credential that was missing or refused."""
        self._limits.authentication_failed(client.bucket)

    def admit(self, credential: Credential, client: Client, cost: Cost) -> tuple[Allowance, RawHeaders]:
        """Charge one request under *credential*; return what it may spend besides, and the headers that tell so.

        *cost* is its route's.

        Raises Limited.
        """
        principal = credential.principal
        charges = credential.charges
        if principal.kind is Kind.USER:
            charges = (*charges, _of_address(client.bucket))
        admission = self._limits.admit(charges)
        if not isinstance(admission, Admitted):
            raise _limited(admission)
        return _Spending(self._limits, charges, principal, cost), _headers(admission)

    def override(self, policies: Mapping[UUID, RateLimitsChanged]) -> None:
        """Give tenants rates of their own: what is not among a tenant's, or cannot be a rate, is the platform's."""
        self._limits.override(
            {tenant_id.bytes: _policy(self._default, changed) for tenant_id, changed in policies.items()}
        )


class _Spending(msgspec.Struct, frozen=True, gc=False):
    """See `Allowance`. What services and staff debit is not limited by wallet."""

    limits: Limits
    charges: tuple[Charge, ...]
    principal: Principal
    cost: Cost

    def spend(self, units: int) -> None:
        if units > 0:
            _require(self.limits.admit(self.charges, units))

    def debit(self, wallet_id: UUID) -> None:
        if self.principal.kind is Kind.USER:
            # Its own bucket for each user: whoever names another's wallet must not use up what its owner may debit.
            own, tenants = self.charges[:2]
            refused = self.limits.charge_wallet(wallet_id.bytes + own.id, tenants.id)
            if refused is not None:
                raise _limited(refused)

    async def begin(self, tx: Transaction) -> None:
        if self.cost is not Cost.STRICT:
            return
        tenant = self.principal.tenant_id.bytes
        rate = self.limits.rate(Limit.KEY_CREATION, tenant)
        taken = await take_strictly(tx, Limit.KEY_CREATION, tenant, rate)
        if not taken.allowed:
            raise _limited(self.limits.refused(Limit.KEY_CREATION, rate, taken))


@lru_cache(maxsize=CACHED_MAX)
def _of_address(bucket: bytes) -> Charge:
    return Charge(Limit.ADDRESS, bucket)


def _require(admission: Admission) -> None:
    if not isinstance(admission, Admitted):
        raise _limited(admission)


def _limited(refused: Refused | BeyondBurst) -> Limited:
    if isinstance(refused, BeyondBurst):
        detail = (
            f"The request costs {refused.cost} units, and the limit {refused.limit.label} holds {refused.rate.burst}."
        )
        return Limited(detail, headers=_headers(refused), retry_after_s=None)
    detail = f"The limit {refused.limit.label} is reached."
    return Limited(detail, headers=_headers(refused), retry_after_s=retry_after_s(refused.retry_after_us))


def _headers(admission: Admission) -> RawHeaders:
    return [
        (b"ratelimit-policy", policy_value(admission.limit, admission.rate)),
        (b"ratelimit", limit_value(admission)),
    ]


def _policy(default: RatePolicy, changed: RateLimitsChanged) -> RatePolicy:
    own = {name: body for name, body in changed.limits.items() if name in _LIMITS}
    policy = default
    for name, body in own.items():
        try:
            policy = replace(policy, **{name: Rate.of(body.per_s, burst=body.burst)})
        except ValueError:
            continue  # what the source took in is a rate; another release's may not be one here
    return policy
