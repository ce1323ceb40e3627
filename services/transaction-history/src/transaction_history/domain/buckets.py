"""Buckets of time by the clocks of a time zone. Pure."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from contracts.zones import midnight, zone_named

BUCKETS_MAX: Final = 1_000
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_DAYS_OF_A_WEEK: Final = 7


class Bucket(StrEnum):
    """How long a bucket is, by local clocks; weeks begin on Mondays."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class TooManyBuckets(ValueError):
    """There would be more than 1,000."""


def edges(zone: str, bucket: Bucket, begin: datetime, end: datetime) -> list[datetime]:
    """Return the instants between which the buckets from *begin* to *end* lie, both included.

    The first and the last bucket are cut at *begin* and *end*. A day begins at local midnight: days have 23, 24 or 25
    hours. Raises TooManyBuckets.
    """
    found = [begin]
    for edge in behind(zone, bucket, begin):
        if edge >= end:
            break
        if len(found) >= BUCKETS_MAX:
            raise TooManyBuckets
        found.append(edge)
    return [*found, end]


def day_end(zone: str, day: date) -> datetime:
    """Return when the local *day* ends: the first instant of the next."""
    return midnight(zone, day + _DAY)


def behind(zone: str, bucket: Bucket, begin: datetime) -> Iterator[datetime]:
    """Yield the edges behind *begin*, ascending, without an end."""
    if bucket is Bucket.HOUR:
        yield from _hours(zone, begin)
        return
    day = begin.astimezone(zone_named(zone)).date()
    while True:
        day = _next(bucket, day)
        edge = midnight(zone, day)
        if edge > begin:
            yield edge


def _next(bucket: Bucket, day: date) -> date:
    """Return the first day behind *day* that begins a bucket."""
    if bucket is Bucket.WEEK:
        return day + (_DAYS_OF_A_WEEK - day.weekday()) * _DAY
    if bucket is Bucket.MONTH:
        return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=1)
    return day + _DAY


def _hours(zone: str, begin: datetime) -> Iterator[datetime]:
    """Yield the full hours of local clocks; where they are changed by half an hour, one is shorter or longer."""
    known, edge = zone_named(zone), begin
    while True:
        local = (edge + _HOUR).astimezone(known)
        full = edge + _HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        edge = full if full > edge else edge + _HOUR
        yield edge
