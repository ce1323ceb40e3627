"""A process whose wall clock is wrong; its monotonic clock, which no setting of the time moves, is right."""

import time
from datetime import UTC, datetime, timedelta

from servicekit import clock


class _Clock:
    """The two functions of `time` that `servicekit.clock` takes from the monotonic clock, and the wrong one."""

    monotonic = staticmethod(time.monotonic)
    monotonic_ns = staticmethod(time.monotonic_ns)

    def __init__(self, ahead: timedelta) -> None:
        self._ahead_s = ahead.total_seconds()

    def time(self) -> float:
        """Return the wrong moment in seconds since 1970."""
        return time.time() + self._ahead_s  # noqa: TID251  this is a clock


def set_wrong(ahead: timedelta) -> None:
    """Have all of this process read a wall clock that is *ahead*, or behind where that is negative."""

    class Wrong(datetime):
        """Tells the wrong moment."""

        @classmethod
        def now(cls, tz: object = UTC) -> datetime:  # type: ignore[override]  # asked with a zone alone
            del tz
            return datetime.now(UTC) + ahead  # noqa: TID251  this is a clock

    vars(clock).update(datetime=Wrong, time=_Clock(ahead))
