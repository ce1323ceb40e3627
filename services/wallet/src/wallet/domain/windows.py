"""Days and months of an IANA time zone."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

from contracts.zones import midnight, zone_named

_DAY: Final = timedelta(days=1)


def day_end(zone: str, at: datetime) -> datetime:
    """Return when the day of *zone* ends that the instant *at* is in: 23 to 25 hours after it began."""
    return _end(at, zone, _next_day)


def month_end(zone: str, at: datetime) -> datetime:
    """Return when the month of *zone* ends that the instant *at* is in."""
    return _end(at, zone, _next_month)


def _next_day(day: date) -> date:
    return day + _DAY


def _next_month(day: date) -> date:
    return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=1)


def _end(at: datetime, zone: str, following: Callable[[date], date]) -> datetime:
    """Return the first midnight after *at* that begins what comes after its date.

    Where clocks are put back over midnight, it is the old date again after the new day has begun.
    """
    day = following(at.astimezone(zone_named(zone)).date())
    while (end := midnight(zone, day)) <= at:
        day = following(day)
    return end
