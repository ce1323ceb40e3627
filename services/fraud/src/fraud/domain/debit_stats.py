"""One kind of debit of one wallet: totals of all of them, and enough points of the past to look into any window.

A point is the running count and sum *after* a debit, so a window is the difference of two of them and costs a search,
however many debits are in it. Everything is an integer: a rebuild gives the same to the bit.

Few debits are kept one by one, and a window is exact. Beyond POINTS_MAX points are thinned out, the older the thinner:
a window then may count debits that are older than it by up to a SHARPNESS-th of it (or GRAIN_US), and never fewer than
there are. So a burst is never missed and takes no more room than a quiet year.
"""

from bisect import bisect_left
from typing import Final

import msgspec

SHARPNESS: Final = 32
"""Where points were thinned out, a window of w may reach back to w + w / SHARPNESS."""
GRAIN_US: Final = 10_000
HORIZON_US: Final = 7 * 24 * 3600 * 1_000_000
"""The longest window."""
POINTS_MAX: Final = 1_024
"""Thinning leaves fewer: two gaps in a row are longer than age / SHARPNESS, so at most 1,006 span the horizon."""
RECENT_MAX: Final = 32
"""Points that are added one by one before they join the older ones: a long tuple is copied once per so many debits."""

Point = tuple[int, int, int]
"""Microseconds since 1970, and the count and the sum of minor units up to and including a debit then."""


class DebitStats(msgspec.Struct, frozen=True, array_like=True):
    """The debits of one kind: count, sum and sum of squares (minor units) since the wallet was opened, and the points.

    *base* is the count and sum before the first point. *older* and *recent* ascend.
    """

    count: int = 0
    sum_minor: int = 0
    sum_of_squares: int = 0
    base: tuple[int, int] = (0, 0)
    older: tuple[Point, ...] = ()
    recent: tuple[Point, ...] = ()


NO_DEBITS: Final = DebitStats()


def with_debit(stats: DebitStats, at_us: int, amount_minor: int) -> DebitStats:
    """Return *stats* after a debit of *amount_minor* (positive), which is not earlier than its last one."""
    count, sum_minor = stats.count + 1, stats.sum_minor + amount_minor
    sum_of_squares = stats.sum_of_squares + amount_minor * amount_minor
    recent = (*stats.recent, (at_us, count, sum_minor))
    if len(recent) < RECENT_MAX:
        return DebitStats(count, sum_minor, sum_of_squares, stats.base, stats.older, recent)
    base, older = _within_horizon(stats.base, stats.older + recent, at_us)
    if len(older) > POINTS_MAX:
        older = _thinned(older, at_us)
    return DebitStats(count, sum_minor, sum_of_squares, base, older, ())


def since(stats: DebitStats, cutoff_us: int) -> tuple[int, int]:
    """Return the count and sum of the debits later than *cutoff_us*, at most HORIZON_US before the last one."""
    recent = stats.recent
    points = recent if recent and recent[0][0] <= cutoff_us else stats.older
    found = bisect_left(points, (cutoff_us + 1,))
    if found:
        _, count, sum_minor = points[found - 1]
    else:
        count, sum_minor = stats.base
    return stats.count - count, stats.sum_minor - sum_minor


def restarted(stats: DebitStats) -> DebitStats:
    """Return *stats* with every window empty from here; the totals stay."""
    return DebitStats(stats.count, stats.sum_minor, stats.sum_of_squares, (stats.count, stats.sum_minor))


def _within_horizon(
    base: tuple[int, int], points: tuple[Point, ...], now_us: int
) -> tuple[tuple[int, int], tuple[Point, ...]]:
    passed = bisect_left(points, (now_us - HORIZON_US + 1,))
    if not passed:
        return base, points
    _, count, sum_minor = points[passed - 1]
    return (count, sum_minor), points[passed:]


def _thinned(points: tuple[Point, ...], now_us: int) -> tuple[Point, ...]:
    """Return the newest and the oldest point and, between, only those without which a gap would be too wide."""
    kept = [points[-1]]
    newer_us = points[-1][0]
    gap_us = GRAIN_US
    for number in range(len(points) - 2, 0, -1):
        if newer_us - points[number - 1][0] > gap_us:
            kept.append(points[number])
            newer_us = points[number][0]
            gap_us = max(GRAIN_US, (now_us - newer_us) // SHARPNESS)
    kept.append(points[0])
    kept.reverse()
    return tuple(kept)
