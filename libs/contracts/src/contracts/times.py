"""Instants as clients write them: RFC 3339 and nothing else, in one parser for every service."""

import re
from datetime import datetime, timedelta
from typing import Final

_INSTANT: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}):(\d{2})(?:\.(\d{1,30}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII
)
_SPACE_FOR_PLUS: Final = re.compile(r".*\d \d{2}:\d{2}", re.ASCII)
_LEAP_SECOND: Final = "60"
_MICROSECONDS: Final = 6
_HOURS: Final = 24
_MINUTES: Final = 60


class InstantError(ValueError):
    """The text is not an instant; the message is a sentence for people."""


def parse_instant(text: str) -> datetime:
    """Return the instant that *text* names, in UTC; digits beyond microseconds are cut off.

    A leap second is taken as the first second after it, which is how the clocks of this platform count it. Raises
    InstantError for everything that is not RFC 3339: a date alone, a week date, a basic form, a time without offset.
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        if _SPACE_FOR_PLUS.fullmatch(text):
            raise InstantError("The offset has a space where a + belongs: write + as %2B in a URL.")
        raise InstantError("An instant is RFC 3339 with its offset, such as 2026-01-31T09:30:00Z.")
    date, minute, second, fraction, sign, hours, minutes = found.groups()
    is_leap = second == _LEAP_SECOND
    offset = _offset(sign, hours, minutes)
    beyond = timedelta(seconds=is_leap, microseconds=int((fraction or "")[:_MICROSECONDS].ljust(_MICROSECONDS, "0")))
    try:
        second_in_utc = datetime.fromisoformat(f"{date}T{minute}:{'59' if is_leap else second}+00:00") - offset
        instant = second_in_utc + beyond
    except (ValueError, OverflowError):
        raise InstantError("There is no such instant between the years 1 and 9999.") from None
    if is_leap and (second_in_utc.hour, second_in_utc.minute) != (23, 59):
        raise InstantError("A second 60 is only at 23:59:60 UTC.")
    return instant


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timedelta:
    if sign is None or hours is None or minutes is None:
        return timedelta()
    if int(hours) >= _HOURS or int(minutes) >= _MINUTES:
        raise InstantError("An offset is at most 23:59.")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if sign == "-" else offset
