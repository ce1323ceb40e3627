"""When a failed delivery is tried again. Pure; times in whole milliseconds."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

DRAW_MAX: Final = 1_000_000
RETRY_AFTER_MS_MAX: Final = 24 * 60 * 60 * 1_000
"""A receiver may ask for a day; what asks for more is asked again after a day."""
_SECOND_MS: Final = 1_000
_DIGITS_MAX: Final = 12


def retry_delay_ms(
    delays_ms: Sequence[int], failures: int, *, draw: int, retry_after_ms: int | None = None
) -> int | None:
    """Return how long to wait after the *failures*-th failure in a row, or None when no attempt is left.

    *draw* is a random number from 0 to DRAW_MAX: the delay lies anywhere between nothing and the schedule's (full
    jitter), so that the deliveries of one outage do not come back together. What the receiver asked for is the least.
    """
    assert failures >= 1
    assert 0 <= draw <= DRAW_MAX
    if failures > len(delays_ms):
        return None
    jittered_ms = delays_ms[failures - 1] * draw // DRAW_MAX
    return max(jittered_ms, retry_after_ms or 0)


def retry_after_ms_of(value: str | None, *, now: datetime) -> int | None:
    """Return what a `Retry-After` header asks for (seconds or an HTTP date), bounded; None where it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = int(text[:_DIGITS_MAX])
        return min(seconds * _SECOND_MS, RETRY_AFTER_MS_MAX)
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return min(max(0, int((aware - now).total_seconds() * _SECOND_MS)), RETRY_AFTER_MS_MAX)
