"""IANA time zones by the pinned rules of the package `tzdata`, whatever the machine has."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

UTC_ZONE: Final = "UTC"
"""The zone where none is named."""
_DATABASE: Final = resources.files("tzdata")
_TICK: Final = timedelta(microseconds=1)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the name of every zone that there is."""
    return frozenset(_DATABASE.joinpath("zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=1_000)
def zone_named(name: str) -> ZoneInfo:
    """Return the zone of that name, one of `zone_names`."""
    assert name in zone_names()
    with _DATABASE.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


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


@lru_cache(maxsize=10_000)
def midnight(zone: str, day: date) -> datetime:
    """Return when *day* begins in *zone*, as `instant_of` has it."""
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
