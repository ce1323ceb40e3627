"""How a client is told of its limits: `RateLimit-Policy`, `RateLimit` and `Retry-After`.

The first two are those of draft-ietf-httpapi-ratelimit-headers-10. Only the tightest limit is told: the one that
refused, or the one with the fewest units remaining.
"""

from functools import lru_cache
from typing import Final

from servicekit.limits.admission import Admission, Admitted, BeyondBurst, Limited
from servicekit.limits.gcra import PERIOD_US, Rate
from servicekit.limits.rates import Limit

RETRY_AFTER_S_MIN: Final = 1


@lru_cache(maxsize=256)
def policy_value(limit: Limit, rate: Rate) -> str:
    """Return the value of `RateLimit-Policy`: q units, which are all back after w seconds."""
    return f'"{limit.label}";q={rate.burst};w={_seconds(rate.whole_again_us)}'


def limit_value(admission: Admission) -> str:
    """Return the value of `RateLimit`: r units remain, t seconds until all are back, or until a retry is worth it."""
    match admission:
        case Admitted(limit=limit, rate=rate, remaining=remaining):
            shown = max(0, min(remaining, rate.burst))
            return f'"{limit.label}";r={shown};t={_seconds((rate.burst - shown) * rate.emission_us)}'
        case Limited(limit=limit, remaining=remaining, retry_after_us=retry_after_us):
            return f'"{limit.label}";r={remaining};t={retry_after_s(retry_after_us)}'
        case BeyondBurst(limit=limit, rate=rate):
            return f'"{limit.label}";r={rate.burst};t=0'


def retry_after_s(retry_after_us: int) -> int:
    """Return the value of `Retry-After`: whole seconds, rounded up, at least one."""
    return max(RETRY_AFTER_S_MIN, _seconds(retry_after_us))


def _seconds(microseconds: int) -> int:
    return -(-microseconds // PERIOD_US)
