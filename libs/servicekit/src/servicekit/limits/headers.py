"""How a client is told of its limits: `RateLimit-Policy`, `RateLimit` and `Retry-After`.

The first two are those of draft-ietf-httpapi-ratelimit-headers-10. Only the tightest limit is told: the one that
refused, or the one with the fewest units remaining.
"""

from functools import cache, lru_cache
from typing import Final

from servicekit.limits.admission import Admission, Admitted, Limited
from servicekit.limits.gcra import PERIOD_US, Rate
from servicekit.limits.rates import Limit

RETRY_AFTER_S_MIN: Final = 1


@lru_cache(maxsize=256)
def policy_value(limit: Limit, rate: Rate) -> bytes:
    """Return the value of `RateLimit-Policy`: q units, which are all back after w seconds."""
    return b'"%b";q=%d;w=%d' % (_label(limit), rate.burst, _seconds(rate.whole_again_us))


def limit_value(admission: Admission) -> bytes:
    """Return the value of `RateLimit`: r units remain, t seconds until all are back, or until a retry is worth it."""
    limit, rate = admission.limit, admission.rate
    if isinstance(admission, Admitted):
        shown = max(0, min(admission.remaining, rate.burst))
        after_s = _seconds((rate.burst - shown) * rate.emission_us)
    elif isinstance(admission, Limited):
        shown, after_s = admission.remaining, retry_after_s(admission.retry_after_us)
    else:
        shown, after_s = rate.burst, 0
    return b'"%b";r=%d;t=%d' % (_label(limit), shown, after_s)


def retry_after_s(retry_after_us: int) -> int:
    """Return the value of `Retry-After`: whole seconds, rounded up, at least one."""
    return max(RETRY_AFTER_S_MIN, _seconds(retry_after_us))


@cache
def _label(limit: Limit) -> bytes:
    return limit.label.encode()


def _seconds(microseconds: int) -> int:
    return -(-microseconds // PERIOD_US)
