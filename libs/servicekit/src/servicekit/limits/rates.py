"""What is limited, and by which rates unless a tenant has its own."""

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Final

from servicekit.limits.gcra import Rate

BURST_US_MIN: Final = 500_000
"""Instances share what comes back between two settlements, which a smaller burst could not hold: a client of one
instance among six would be sold short."""


class Limit(IntEnum):
    """What a bucket is for. The numbers stand in `servicekit.rate_bucket`: none is ever used again for another."""

    TENANT = 0
    USER = 1
    SERVICE = 2
    OPERATOR = 3
    WALLET = 4
    """A wallet that a user debits."""
    ADDRESS = 5
    FAILED_AUTHENTICATIONS = 6
    KEY_CREATION = 7
    """Strict: see `servicekit.limits.strict`."""

    __hash__ = int.__hash__  # an enum's own hashes its name, in Python, for every request

    @property
    def label(self) -> str:
        """Its name in metrics, headers and problems."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePolicy:
    """The rates of one tenant, or of all that have none of their own; `dataclasses.replace` changes some.

    A unit is a command, so that a batch costs what its commands would have cost one by one: one of more commands than
    the burst is never admitted. Raises ValueError for a burst of less than BURST_US_MIN of its rate.
    """

    tenant: Rate = field(default=Rate.of(20_000, burst=40_000))
    """Beyond what one database commits for everybody: a tenant alone on the platform never meets it."""
    user: Rate = field(default=Rate.of(50, burst=100))
    """A person with an app open needs a few requests a second; a page that loads, some dozens at once."""
    service: Rate = field(default=Rate.of(10_000, burst=20_000))
    """Half the tenant's: one backend that runs away leaves the tenant's others room."""
    operator: Rate = field(default=Rate.of(200, burst=400))
    """People and their scripts: lists and searches, never traffic."""
    wallet: Rate = field(default=Rate.of(20, burst=40))
    """Debits by users: far above any purchase, far below what makes a wallet's row the hottest of its shard."""
    address: Rate = field(default=Rate.of(2_000, burst=4_000))
    """Of users, and of whoever is not known: an office or a mobile carrier stands behind one address, forty people at
    their full rate at once. A service is known by its key, and one host of its may send all that it may send: its
    requests are not charged to their address."""
    failed_authentications: Rate = field(default=Rate.of(60, seconds=60, burst=60))
    """Sixty a minute of an address: a deployment with a wrong key is told so, guessing is not worth it."""
    key_creation: Rate = field(default=Rate.of(60, seconds=3_600, burst=20))
    """Of a tenant: keys are made by people and by deployments, and each stays for a year."""

    def __post_init__(self) -> None:
        for limit in Limit:
            if self.of(limit).whole_again_us < BURST_US_MIN:
                raise ValueError(f"The burst of {limit.label} must be at least what its rate gives in half a second.")

    def of(self, limit: Limit) -> Rate:
        """Return the rate of *limit*."""
        rate: Rate = getattr(self, limit.label)
        return rate


assert [each.name for each in fields(RatePolicy)] == [limit.label for limit in Limit], "a limit without a rate"

DEFAULT_POLICY: Final = RatePolicy()
