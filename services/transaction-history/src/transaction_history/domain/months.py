"""Which months' partitions rows stand in. Pure. Times are UTC; a transaction stands where its id says it was made."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from transaction_history.domain.project import Contradiction
from transaction_history.domain.rows import TransactionRow

AHEAD_MAX: Final = timedelta(days=40)
"""How far ahead of the database's clock an event may be dated: beyond, it is not a clock that is off."""
FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
MADE_AROUND: Final = timedelta(days=1)
"""How long before its entries a transaction's id may have been made, or after them by a clock that is ahead."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_MAX: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MILLISECOND


def month_of(instant: datetime) -> date:
    """Return the first day of the month that *instant* lies in."""
    in_utc = instant.astimezone(UTC)
    return date(in_utc.year, in_utc.month, 1)


def made_at(transaction_id: UUID) -> datetime:
    """Return when a UUIDv7 was made, to the millisecond."""
    return _EPOCH + min(transaction_id.int >> 80, _MILLISECONDS_MAX) * _MILLISECOND


def first_id(instant: datetime) -> UUID:
    """Return the least id that is made at *instant*."""
    return UUID(int=max(0, (instant - _EPOCH) // _MILLISECOND) << 80)


def next_months(month: date, count: int) -> list[date]:
    """Return *month* and the *count* months behind it."""
    first = month.year * 12 + month.month - 1
    return [date(each // 12, each % 12 + 1, 1) for each in range(first, first + count + 1)]


def months_of(
    occurred: Iterable[datetime], transactions: Iterable[TransactionRow], now: datetime
) -> tuple[set[date], set[date]]:
    """Return the months of *occurred*, and of *transactions* by their ids.

    Raises Contradiction where one is dated more than 40 days after *now*, or before 2000.
    """
    return _months(occurred, now), _months((made_at(row.transaction_id) for row in transactions), now)


def _months(instants: Iterable[datetime], now: datetime) -> set[date]:
    found = set(instants)
    if found and (max(found) > now + AHEAD_MAX or min(found) < FIRST):
        raise Contradiction("it is dated too far from the database's clock")
    return {month_of(instant) for instant in found}
