"""Limits and their windows, one by one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.zones import instant_of, zone_named, zone_names
from wallet.domain.limits import (
    Counting,
    Excess,
    Limit,
    Terms,
    Tier,
    Usages,
    contradictions,
    counted,
    read_terms,
    read_usages,
    since,
    stored_terms,
    stored_usages,
)
from wallet.domain.policy import Policy
from wallet.domain.windows import day_end, month_end

BERLIN, NEW_YORK, KOLKATA = "Europe/Berlin", "America/New_York", "Asia/Kolkata"
HOUR = timedelta(hours=1)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    return local(text).replace(tzinfo=UTC)


def test_a_local_time_that_does_not_exist_is_the_first_after_the_gap() -> None:
    assert instant_of(local("2026-03-29T02:30"), BERLIN) == utc("2026-03-29T01:00")
    assert instant_of(local("2026-03-08T02:30"), NEW_YORK) == utc("2026-03-08T07:00")
    assert instant_of(local("2011-12-30T12:00"), "Pacific/Apia") == utc("2011-12-30T10:00"), "a day that never was"


def test_a_local_time_that_exists_twice_is_the_first() -> None:
    assert instant_of(local("2026-10-25T02:30"), BERLIN) == utc("2026-10-25T00:30")
    assert instant_of(local("2026-11-01T01:30"), NEW_YORK) == utc("2026-11-01T05:30")


@pytest.mark.parametrize(
    ("zone", "began", "hours"),
    [
        (BERLIN, utc("2026-03-28T23:00"), 23),
        (BERLIN, utc("2026-10-24T22:00"), 25),
        (NEW_YORK, utc("2026-03-08T05:00"), 23),
        (NEW_YORK, utc("2026-11-01T04:00"), 25),
        (KOLKATA, utc("2026-03-28T18:30"), 24),
    ],
)
def test_a_day_has_23_to_25_hours(zone: str, began: datetime, hours: int) -> None:
    assert day_end(zone, began) == began + hours * HOUR == day_end(zone, began + hours * HOUR - timedelta.resolution)
    assert day_end(zone, began - timedelta.resolution) == began


def test_where_clocks_go_back_over_midnight_the_day_that_began_goes_on() -> None:
    midnight = utc("2010-11-07T02:30")  # in St John's it was 23:01 again a minute later
    assert day_end("America/St_Johns", midnight - HOUR) == midnight
    assert day_end("America/St_Johns", midnight + timedelta(minutes=30)) == midnight + 25 * HOUR


def test_months_end_where_the_zone_says() -> None:
    assert month_end(NEW_YORK, utc("2026-03-01T04:59")) == utc("2026-03-01T05:00")
    assert month_end(NEW_YORK, utc("2026-03-01T05:00")) == utc("2026-04-01T04:00")
    assert month_end(KOLKATA, utc("2026-12-31T18:30")) == utc("2027-01-31T18:30")


@given(st.sampled_from(sorted(zone_names())), st.datetimes(local("1990-01-01T00:00"), local("2037-01-01T00:00")))
def test_every_window_holds_the_instant_and_ends_at_a_midnight(zone: str, at: datetime) -> None:
    instant = at.replace(tzinfo=UTC)
    ends_at = day_end(zone, instant)

    assert instant < ends_at <= instant + 50 * HOUR
    assert ends_at <= month_end(zone, instant)
    there, before = (each.astimezone(zone_named(zone)) for each in (ends_at, ends_at - timedelta.resolution))
    assert there.date() > before.date() or there.hour == 0


def limit(**more: Any) -> Limit:
    return Limit(**{"scope": "wallet", "operation": "withdrawal", "currency": "USD", **more})


def usages_of(*counting: Any) -> Usages:
    usages = counted(*counting)
    assert not isinstance(usages, Excess)
    return usages


def test_a_change_of_zone_ends_no_window_that_runs() -> None:
    at, bound = utc("2026-06-01T21:00"), limit(day_count=1)
    (first,) = usages_of((), ("withdrawal",), (bound,), Counting(5, "USD", BERLIN, at))
    assert first.day is not None
    assert first.day.ends_at == utc("2026-06-01T22:00")

    excess = counted((first,), ("withdrawal",), (bound,), Counting(1, "USD", NEW_YORK, at + HOUR / 2))
    assert isinstance(excess, Excess)
    assert excess.resets_at == first.day.ends_at
    (second,) = usages_of((first,), ("withdrawal",), (bound,), Counting(7, "USD", NEW_YORK, first.day.ends_at))
    assert second.day is not None
    assert (second.day.ends_at, second.day.amount_minor, second.since) == (utc("2026-06-02T04:00"), 7, at)


def test_what_no_limit_measures_any_more_is_forgotten() -> None:
    at, counting = utc("2026-06-01T00:00"), Counting(5, "USD", "UTC", utc("2026-06-01T00:00"))
    usages = usages_of(
        (), ("withdrawal", "debit"), (limit(day_count=9), limit(operation="debit", month_count=9)), counting
    )
    assert [(each.operation, each.day is None, each.month is None) for each in usages] == [
        ("withdrawal", False, True),
        ("debit", True, False),
    ]
    assert usages_of(usages, ("withdrawal", "debit"), (), counting) == ()
    assert usages_of(usages, ("transfer", "debit"), (), counting) == usages[:1]
    again = usages_of(since(usages, at + HOUR), ("withdrawal",), (limit(day_count=9),), counting)
    assert [each.day.count for each in again if each.day is not None] == [1]


def test_rows_keep_terms_and_usage() -> None:
    usages = usages_of((), ("withdrawal",), (limit(day_count=9),), Counting(5, "USD", BERLIN, utc("2026-06-01T00:00")))
    terms = Terms(time_zone=BERLIN, limits=(limit(day_amount="5.00"),))

    assert read_usages(stored_usages(usages)) == usages
    assert read_terms(stored_terms(terms)) == terms
    assert (stored_usages(()), stored_terms(None), read_usages(None), read_terms(None)) == (None, None, (), None)


def test_limits_that_cannot_be_are_told() -> None:
    assert contradictions((limit(day_count=1), limit(operation="deposit", balance="1.00"))) == []
    told = contradictions((limit(), limit(balance="1.00"), limit(scope="owner", operation="deposit", balance="1.00")))
    assert [index for index, _ in told] == [0, 1, 1, 2]


def test_owners_are_looked_at_only_where_a_tier_or_a_limit_asks() -> None:
    alone = Policy(tiers=(Tier(name="default", limits=(limit(day_count=1),)),))
    two = Policy(tiers=(Tier(name="default"), Tier(name="gold")))
    together = Policy(tiers=(Tier(name="default", limits=(limit(scope="owner", day_count=1),)),))
    assert [each.looks_at_owners for each in (Policy(), alone, two, together)] == [False, False, True, True]

    began, later = utc("2026-06-01T00:00"), utc("2026-06-02T00:00")
    counting = Policy().changed("tiers", together.tiers, began)
    assert counting.owners_counted_since == began
    assert counting.changed("tiers", together.tiers, later).owners_counted_since == began
    assert counting.changed("tiers", (), later).owners_counted_since is None
