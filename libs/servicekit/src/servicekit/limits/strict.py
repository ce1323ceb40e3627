"""The strict kind: taken from the row itself, in the caller's own transaction, at the price of a round trip.

For what is rare and must not be had once more than allowed: the creation of keys.
"""

from typing import Final

from servicekit.limits.gcra import Rate, Taken, left
from servicekit.limits.rates import Limit
from servicekit.postgres import Transaction

# $3 is the cost's and $4 the burst's time; excluded.tat_us - $3 is now. Where the database's clock was put back, the
# row refuses until the clock has caught up. A row that refuses is locked like one that gives.
_TAKE: Final = """
    insert into servicekit.rate_bucket as b (kind, id, tat_us)
    values ($1, $2, (extract(epoch from statement_timestamp()) * 1000000)::bigint + $3)
        on conflict (kind, id) do update set tat_us = greatest(b.tat_us + $3, excluded.tat_us)
        where b.tat_us + $3 <= excluded.tat_us - $3 + $4
    returning b.tat_us, (extract(epoch from statement_timestamp()) * 1000000)::bigint as now_us
"""
_STATE: Final = """
    select b.tat_us, (extract(epoch from statement_timestamp()) * 1000000)::bigint as now_us
      from servicekit.rate_bucket b where b.kind = $1 and b.id = $2
"""


async def take_strictly(tx: Transaction, limit: Limit, id_: bytes, rate: Rate, cost: int = 1) -> Taken:
    """Take *cost* units, all or none, by the database's clock; what `gcra.take` returns.

    The row stays locked until *tx* ends, so that callers of one bucket take turns; where *tx* is rolled back, nothing
    was taken. Closed where it fails: a driver's error passes, and whoever calls it must not go on.
    """
    if cost > rate.burst:
        return Taken(False, 0, 0, None, 0)
    taken_us, whole_us = cost * rate.emission_us, rate.whole_again_us
    row = await tx.connection.fetchrow(_TAKE, int(limit), id_, taken_us, whole_us)
    if row is not None:
        state, now_us = row["tat_us"], row["now_us"]
        return Taken(True, state, max(0, left(state, rate, now_us)), 0, max(0, state - now_us))
    row = await tx.connection.fetchrow(_STATE, int(limit), id_)
    assert row is not None, "only a row refuses"
    state, now_us = row["tat_us"], row["now_us"]
    retry_after_us = max(1, state + taken_us - now_us - whole_us)
    return Taken(False, state, max(0, left(state, rate, now_us)), retry_after_us, max(0, state - now_us))
