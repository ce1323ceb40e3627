"""When the periods of statements end, by the clocks of a time zone. Pure."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from contracts.zones import zone_named
from transaction_history.domain.buckets import Bucket, behind

_MONTHS_OF_A_QUARTER: Final = 3
_DAY: Final = timedelta(days=1)
_TICK: Final = timedelta(microseconds=1)


class Schedule(StrEnum):
    """How long a period is; weeks begin on Mondays. With none nothing ends by itself."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    NONE = "none"


@lru_cache(maxsize=10_000)
def period_end(schedule: Schedule, zone: str, begin: datetime) -> datetime | None:
    """Return when the period ends that begins at *begin*, wherever that is: the first local midnight of the schedule.

    So a changed zone or schedule goes on from where the last period ended, with neither a gap nor an overlap.
    """
    match schedule:
        case Schedule.NONE:
            return None
        case Schedule.WEEKLY:
            return next(behind(zone, Bucket.WEEK, begin))
        case Schedule.MONTHLY:
            return next(behind(zone, Bucket.MONTH, begin))
        case Schedule.QUARTERLY:
            known = zone_named(zone)
            months = behind(zone, Bucket.MONTH, begin)
            return next(edge for edge in months if edge.astimezone(known).month % _MONTHS_OF_A_QUARTER == 1)


@lru_cache(maxsize=10_000)
def local_days(zone: str, begin: datetime, end: datetime) -> tuple[date, date]:
    """Return the local days of the period from *begin* to *end*: the first, and the one behind the last.

    A day that the period has a part of is within.
    """
    known = zone_named(zone)
    return begin.astimezone(known).date(), (end - _TICK).astimezone(known).date() + _DAY
