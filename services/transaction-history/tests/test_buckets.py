"""Edges of buckets by local clocks, and the way to a version."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.zones import zone_named, zone_names
from transaction_history.domain.buckets import BUCKETS_MAX, Bucket, TooManyBuckets, day_end, edges
from transaction_history.domain.totals import NOTHING, Standing, movement, seek

BERLIN, BEIRUT, CAIRO = "Europe/Berlin", "Asia/Beirut", "Africa/Cairo"
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lengths(zone: str, bucket: Bucket, begin: str, end: str) -> list[float]:
    found = edges(zone, bucket, utc(begin), utc(end))
    return [(after - before) / HOUR for before, after in pairwise(found)]


def test_days_have_23_24_and_25_hours() -> None:
    assert lengths(BERLIN, Bucket.DAY, "2026-03-27T23:00", "2026-03-30T22:00") == [24, 23, 24]
    assert lengths(BERLIN, Bucket.DAY, "2026-10-23T22:00", "2026-10-26T23:00") == [24, 25, 24]


def test_a_midnight_that_does_not_exist_is_the_first_instant_after() -> None:
    assert day_end(BEIRUT, date(2026, 3, 28)) == utc("2026-03-28T22:00")
    assert day_end(BEIRUT, date(2026, 3, 28)).astimezone(zone_named(BEIRUT)).hour == 1


def test_a_midnight_that_comes_twice_is_the_first() -> None:
    found = edges(CAIRO, Bucket.DAY, utc("2026-10-28T12:00"), utc("2026-10-31T12:00"))
    assert [each.astimezone(zone_named(CAIRO)).fold for each in found[1:-1]] == [0, 0, 0]


def test_weeks_begin_on_mondays_and_months_on_their_first_and_both_are_cut_at_the_range() -> None:
    weeks = edges("UTC", Bucket.WEEK, utc("2026-01-07T05:00"), utc("2026-01-20"))
    months = edges("UTC", Bucket.MONTH, utc("2025-11-30"), utc("2026-02-02"))

    assert weeks == [utc("2026-01-07T05:00"), utc("2026-01-12"), utc("2026-01-19"), utc("2026-01-20")]
    assert months == [utc("2025-11-30"), utc("2025-12-01"), utc("2026-01-01"), utc("2026-02-01"), utc("2026-02-02")]


def test_more_than_a_thousand_buckets_are_refused() -> None:
    begin = utc("2026-01-01")
    assert len(edges("UTC", Bucket.HOUR, begin, begin + BUCKETS_MAX * HOUR)) == BUCKETS_MAX + 1
    with pytest.raises(TooManyBuckets):
        edges("UTC", Bucket.HOUR, begin, begin + BUCKETS_MAX * HOUR + timedelta(microseconds=1))


INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  Hypothesis wants them naive


@given(st.sampled_from(sorted(zone_names())), st.sampled_from(Bucket), INSTANTS, st.floats(0.01, 40))
def test_edges_ascend_and_buckets_are_as_long_as_their_name_says(
    zone: str, bucket: Bucket, begin: datetime, share: float
) -> None:
    days = {Bucket.HOUR: 1 / 24, Bucket.DAY: 1, Bucket.WEEK: 7, Bucket.MONTH: 31}[bucket]
    end = begin + timedelta(days=days * share)

    found = edges(zone, bucket, begin, end)

    assert (found[0], found[-1]) == (begin, end)
    assert all(one < other for one, other in pairwise(found))
    longest = timedelta(days=days) + timedelta(days=1, hours=1)
    assert all(other - one <= longest for one, other in pairwise(found))


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 10**9)), min_size=1, max_size=60), st.data())
def test_a_version_is_found_wherever_it_is(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    """Several entries of one instant, versions that entries do not have, and gaps of any length."""
    at, version, rows = utc("2026-01-01"), 0, []
    for more, microseconds in steps:
        version, at = version + more, at + timedelta(microseconds=microseconds)
        rows.append(Standing(version=version, occurred_at=at))
    wanted = data.draw(st.integers(1, version))

    def last(until: datetime, below: int | None = None) -> Standing | None:
        found = [row for row in rows if row.occurred_at is not None and row.occurred_at <= until]
        found = [row for row in found if below is None or row.version <= below]
        return found[-1] if found else None

    first, newest = rows[0].occurred_at, rows[-1].occurred_at
    assert first is not None
    assert newest is not None
    seeking, looks = seek(wanted, first, newest, version), 0
    instant = next(seeking)
    while True:
        looks += 1
        try:
            instant = seeking.send(last(instant))
        except StopIteration as found:
            until: datetime = found.value
            break

    assert last(until, wanted) == next((row for row in reversed(rows) if row.version <= wanted), None)
    beyond = [row for row in rows if row.version > wanted]
    assert until == (beyond[0].occurred_at if beyond else newest)
    assert looks <= 140


def test_what_happened_is_the_difference_of_where_it_stood() -> None:
    after = Standing(posted_minor=70, credits_minor=100, debits_minor=30, fees_minor=5, entries=3)

    moved = movement(NOTHING, after)

    assert (moved.opening_minor, moved.closing_minor, moved.credits_minor - moved.debits_minor) == (0, 70, 70)
    assert (after + after).credits_minor == 200
