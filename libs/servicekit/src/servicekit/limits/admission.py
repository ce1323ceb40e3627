"""Whether a request is within its limits: decided in memory, at once, from all of its buckets or from none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from servicekit.clock import monotonic_us
from servicekit.limits.bucket import Bucket
from servicekit.limits.buckets import BUCKETS_MAX, Buckets
from servicekit.limits.gcra import Rate, Taken, left
from servicekit.limits.rates import DEFAULT_POLICY, Limit, RatePolicy

SETTLE_PERIOD_US: Final = 100_000
"""What another instance has not spent is here after this."""


class Charge(NamedTuple):
    """A bucket that a request takes from. *tenant* is the id of the tenant whose policy applies, None for the default.

    *id* has at most 32 bytes: a tenant's, a client's or a wallet's UUID, or an address as `address.bucket_of` gives it.
    Make one per credential and keep it: it is the same for all of its requests.
    """

    limit: Limit
    id: bytes
    tenant: bytes | None = None


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """The request was charged. *limit* is its tightest, with *remaining* units as far as is known here."""

    limit: Limit
    rate: Rate
    remaining: int


class Limited(msgspec.Struct, frozen=True, gc=False):
    """The request was charged nowhere: *limit* stands in its way, for about *retry_after_us*."""

    limit: Limit
    rate: Rate
    remaining: int
    retry_after_us: int


class BeyondBurst(msgspec.Struct, frozen=True, gc=False):
    """The request was charged nowhere and never can be: its *cost* is more than the burst of *limit*."""

    limit: Limit
    rate: Rate
    cost: int


Admission: TypeAlias = Admitted | Limited | BeyondBurst


class Limits:
    """The limits of one process. Nothing here waits; a `Settler` shares the buckets with the other instances.

    *clock* returns microseconds that only grow. *policy* is of every tenant that `override` does not name.
    """

    def __init__(
        self,
        policy: RatePolicy = DEFAULT_POLICY,
        *,
        clock: Callable[[], int] = monotonic_us,
        buckets_max: int = BUCKETS_MAX,
    ) -> None:
        self._clock = clock
        self.buckets = Buckets(policy, buckets_max=buckets_max)
        self._by_limit = self.buckets.by_limit
        self.refusals = [0] * len(Limit)
        """How many requests were refused, by limit."""

    def override(self, policies: Mapping[bytes, RatePolicy]) -> None:
        """Give the tenants in *policies*, by the bytes of their ids, rates of their own, from the next settlement on.

        Tenants that an earlier mapping named and this one does not have the default again.
        """
        self.buckets.override(policies)

    def rate(self, limit: Limit, tenant: bytes) -> Rate:
        """Return the rate that *tenant* has of *limit*."""
        return self.buckets.rate(limit, tenant)

    def refused(self, limit: Limit, rate: Rate, taken: Taken) -> Limited:
        """Count that `strict.take_strictly` refused one unit of *limit*, and return the refusal."""
        assert taken.retry_after_us is not None, "a burst holds one unit"
        self.refusals[limit] += 1
        return Limited(limit, rate, taken.remaining, taken.retry_after_us)

    def admit(self, charges: Sequence[Charge], cost: int = 1) -> Admission:
        """Take *cost* units from every bucket of *charges*, or from none. *cost* is a batch's number of commands.

        There is at least one charge, and no bucket twice. The first that refuses is told: put the widest first.
        """
        assert cost >= 1, "a request has a cost"
        found = []
        for limit, id_, tenant in charges:
            bucket = self._by_limit[limit].get(id_)
            if bucket is None or not bucket.is_awake:
                bucket = self.buckets.awake(limit, id_, tenant, self._clock())
            if bucket.held < cost:
                return self._refuse(bucket, cost)
            found.append(bucket)
        tightest = found[0]
        for bucket in found:
            bucket.held -= cost
            bucket.spent += cost
            bucket.left -= cost
            if bucket.left < tightest.left:
                tightest = bucket
        return Admitted(tightest.limit, tightest.share.rate, max(tightest.left, tightest.held))

    def charge_wallet(self, wallet_id: bytes, tenant: bytes) -> Limited | BeyondBurst | None:
        """Take a unit of what a user may debit *wallet_id*, once the request is read and names it; None if it may."""
        bucket = self._by_limit[Limit.WALLET].get(wallet_id)
        if bucket is None or not bucket.is_awake:
            bucket = self.buckets.awake(Limit.WALLET, wallet_id, tenant, self._clock())
        if bucket.held < 1:
            return self._refuse(bucket, 1)
        bucket.held -= 1
        bucket.spent += 1
        bucket.left -= 1
        return None

    def may_authenticate(self, address: bytes) -> Limited | None:
        """Return None where *address* may present a credential that must be verified, before it is verified.

        Takes nothing: an address that never fails has no bucket.
        """
        bucket = self._by_limit[Limit.FAILED_AUTHENTICATIONS].get(address)
        if bucket is None:
            return None
        held = bucket.held if bucket.is_awake else left(bucket.state, bucket.share.part, self._clock())
        return None if held >= 1 else self._limited(bucket, 1)

    def authentication_failed(self, address: bytes) -> None:
        """Charge *address* for a credential that was refused."""
        bucket = self.buckets.awake(Limit.FAILED_AUTHENTICATIONS, address, None, self._clock())
        bucket.held -= 1
        bucket.spent += 1
        bucket.left -= 1

    def _refuse(self, bucket: Bucket, cost: int) -> Limited | BeyondBurst:
        if cost > bucket.share.rate.burst:
            self.refusals[bucket.limit] += 1
            return BeyondBurst(bucket.limit, bucket.share.rate, cost)
        return self._limited(bucket, cost)

    def _limited(self, bucket: Bucket, cost: int) -> Limited:
        self.refusals[bucket.limit] += 1
        bucket.is_refused = True
        bucket.wanted = max(bucket.wanted, cost)
        missing = cost - max(bucket.left, bucket.held)
        retry_after_us = max(SETTLE_PERIOD_US, missing * bucket.share.rate.emission_us)
        return Limited(bucket.limit, bucket.share.rate, max(0, bucket.held), retry_after_us)
