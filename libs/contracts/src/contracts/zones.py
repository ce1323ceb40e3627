"""IANA time zones by the pinned rules of the package `tzdata`, whatever the machine has."""

from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

UTC_ZONE: Final = "UTC"
"""The zone where none is named."""
_DATABASE: Final = resources.files("tzdata")


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
