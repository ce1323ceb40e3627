"""The only module that reads the clock. The domain is given its time; application clocks make deadlines and ids."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251  this is the module the ban points to


def unix_s() -> float:
    """Return the present moment in seconds since 1970, for what is compared on every request."""
    return time.time()  # noqa: TID251  this is the module the ban points to


def monotonic_s() -> float:
    """Return seconds on a clock that only moves forward: for durations and deadlines, never for instants."""
    return time.monotonic()


def monotonic_us() -> int:
    """Return whole microseconds on the clock of `monotonic_s`."""
    return time.monotonic_ns() // 1000
