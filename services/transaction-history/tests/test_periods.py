"""Ends of statements' periods: midnights of a schedule, one behind the other whatever is changed between."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.zones import midnight, zone_named
from transaction_history.domain.periods import Schedule, local_days, period_end

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Africa/Cairo", "Asia/Beirut", "Pacific/Apia")
ENDING = (Schedule.WEEKLY, Schedule.MONTHLY, Schedule.QUARTERLY)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  the bounds of aware ones
LONGEST = {Schedule.WEEKLY: 7, Schedule.MONTHLY: 31, Schedule.QUARTERLY: 92}


@pytest.mark.parametrize(
    ("schedule", "zone", "begin", "end"),
    [
        (Schedule.WEEKLY, "UTC", "2026-11-25T10:00:00Z", "2026-11-30T00:00:00Z"),
        (Schedule.WEEKLY, "UTC", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"),
        (Schedule.MONTHLY, "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-31T23:00:00Z"),
        (Schedule.MONTHLY, "Europe/Berlin", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
        (Schedule.QUARTERLY, "America/New_York", "2026-08-05T00:00:00Z", "2026-10-01T04:00:00Z"),
        (Schedule.QUARTERLY, "UTC", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ],
)
def test_a_period_ends_at_a_local_midnight_of_its_schedule(schedule: Schedule, zone: str, begin: str, end: str) -> None:
    assert period_end(schedule, zone, datetime.fromisoformat(begin)) == datetime.fromisoformat(end)


def test_without_a_schedule_nothing_ends() -> None:
    assert period_end(Schedule.NONE, "UTC", datetime(2026, 1, 1, tzinfo=UTC)) is None


@given(instants, st.sampled_from(ZONES), st.sampled_from(ENDING))
def test_the_end_is_the_first_midnight_of_the_schedule_behind(begin: datetime, zone: str, schedule: Schedule) -> None:
    end = period_end(schedule, zone, begin)
    assert end is not None

    day = end.astimezone(zone_named(zone)).date()
    assert midnight(zone, day) == end
    assert begin < end <= begin + timedelta(days=LONGEST[schedule], hours=25)
    assert day.weekday() == 0 if schedule is Schedule.WEEKLY else day.day == 1
    assert schedule is not Schedule.QUARTERLY or day.month in (1, 4, 7, 10)


@given(instants, st.lists(st.tuples(st.sampled_from(ZONES), st.sampled_from(ENDING)), min_size=2, max_size=8))
def test_whatever_is_changed_days_follow_each_other(begin: datetime, changes: list[tuple[str, Schedule]]) -> None:
    """In one zone the day behind a period is the next one's first; in another it is that zone's day of that instant."""
    edges = [begin]
    for zone, schedule in changes:
        end = period_end(schedule, zone, edges[-1])
        assert end is not None
        first, behind = local_days(zone, edges[-1], end)
        assert first == edges[-1].astimezone(zone_named(zone)).date()
        assert first < behind == end.astimezone(zone_named(zone)).date()
        edges.append(end)

    assert edges == sorted(set(edges))


def test_a_day_that_is_covered_in_part_is_within() -> None:
    begin, end = datetime(2026, 11, 3, 22, 30, tzinfo=UTC), datetime(2026, 11, 5, 12, tzinfo=UTC)

    assert local_days("Europe/Berlin", begin, end) == (date(2026, 11, 3), date(2026, 11, 6))
    assert local_days("Asia/Tokyo", begin, end) == (date(2026, 11, 4), date(2026, 11, 6))
