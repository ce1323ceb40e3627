"""Days and months of an IANA time zone, by the pinned rules of the package `tzdata`, whatever the machine has."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from contracts.zones import zone_named

_DAY: Final = timedelta(days=1)
_TICK: Final = timedelta(microseconds=1)


def instant_of(local: datetime, zone: str) -> datetime:
    """Return when it is *local* (without a zone) in *zone*.

    A time that does not exist there is the first one after the gap; one that exists twice is the first of both.
    """
    known = zone_named(zone)
    instant = local.replace(tzinfo=known).astimezone(UTC)
    if instant.astimezone(known).replace(tzinfo=None) == local:
        return instant
    before = local.replace(tzinfo=known, fold=1).astimezone(UTC)
    return _first_of_offset(known, before, instant)


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
    while (end := _midnight(zone, day)) <= at:
        day = following(day)
    return end


@lru_cache(maxsize=10_000)
def _midnight(zone: str, day: date) -> datetime:
    return instant_of(datetime.combine(day, time()), zone)


def _first_of_offset(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first instant of the offset that is in force at *after*, and not yet at *before*."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > _TICK:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after
