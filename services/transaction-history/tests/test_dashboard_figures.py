"""How a dashboard's figures are made of sums, and what the whole ledger comes to."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from servicekit.clock import utc_now
from servicekit.maintenance import JobRun
from servicekit.postgres import Pool
from testkit.access import TENANT
from transaction_history.dashboard import ledger_figures
from transaction_history.dashboard.ledger_figures import LedgerFigures, volumes_told
from transaction_history.domain.dashboard import (
    DashboardAsked,
    MinuteCount,
    Ranked,
    TopAsked,
    Window,
    average_minor,
    newest_minute,
    per_second,
    question_of,
    question_text,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
OTHER = UUID("00000000-0000-7000-8000-000000000002")


def test_windows_begin_with_whole_minutes_and_days() -> None:
    begins = {window.value: window.begin(NOW).isoformat() for window in Window}

    assert begins == {
        "1h": "2026-03-04T04:06:00+00:00",
        "24h": "2026-03-03T05:06:00+00:00",
        "7d": "2026-02-25T00:00:00+00:00",
        "30d": "2026-02-02T00:00:00+00:00",
    }


@given(st.integers(0, 10**7))
def test_a_minutes_rate_is_to_the_hundredth(transactions: int) -> None:
    whole, _, decimals = per_second(transactions).partition(".")

    assert abs(int(whole) * 6_000 + int(decimals) * 60 - transactions * 100) <= 30


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**7))
def test_an_average_is_to_the_nearest_unit(total_minor: int, count: int) -> None:
    assert abs(2 * average_minor(total_minor, count) * count - 2 * total_minor) <= count
    assert average_minor(total_minor, 0) == 0


def test_now_is_the_last_minute_that_is_over_and_complete() -> None:
    minutes = [MinuteCount(NOW.replace(minute=4, second=0), 3), MinuteCount(NOW.replace(minute=5, second=0), 9)]

    assert newest_minute(minutes, NOW, None).transactions == 9
    assert newest_minute(minutes, NOW, NOW - timedelta(minutes=1)).transactions == 3
    assert newest_minute(minutes, NOW, NOW - timedelta(hours=1)).transactions == 0


@given(
    st.one_of(
        st.builds(DashboardAsked, st.sampled_from(Window)),
        st.builds(TopAsked, st.sampled_from(Ranked), st.sampled_from(Window), st.sampled_from([None, "USD"])),
    )
)
def test_a_question_is_read_from_its_text(question: DashboardAsked | TopAsked) -> None:
    assert question_of(question_text(question)) == question


def test_the_types_of_metrics_are_bounded() -> None:
    traffic = ledger_figures.Traffic
    many = {(f"type-{number}", "USD"): traffic(number, 100, 0) for number in range(ledger_figures.TYPES_MAX + 10)}

    told = volumes_told({**many, ("unknown", "???"): traffic(10**6, 1, 1)})

    assert len(told) == ledger_figures.TYPES_MAX
    assert told["other", "USD"] == len(many) - (len(told) - 1)
    assert ("unknown", "???") not in told


def test_types_in_many_currencies_are_no_more_series_than_a_scrape_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_figures, "SERIES_MAX", 3)
    traffic = ledger_figures.Traffic
    found = {(type_, currency): traffic(5, 100, 0) for type_ in ("deposit", "payment") for currency in ("USD", "EUR")}
    rare = {("deposit", "JPY"): traffic(1, 100, 0), ("payment", "EUR"): traffic(2, 100, 0)}

    told = volumes_told({**found, **rare})

    assert told.keys() == {
        ("deposit", "USD"),
        ("deposit", "EUR"),
        ("payment", "USD"),
        ("other", "EUR"),
        ("other", "JPY"),
    }


async def add_day(pool: Pool, tenant_id: UUID, day: date) -> None:
    """Count a deposit of 5.00 on *day*."""
    async with pool.connection() as connection:
        await connection.execute(
            "insert into history_index.day_total values ($1, $2, 'USD', 'deposit', 1, 1, 1, 500, 0)", tenant_id, day
        )


@pytest.mark.integration
async def test_days_that_are_over_are_added_up_once(pool: Pool) -> None:
    today, measured = utc_now().date(), LedgerFigures(CollectorRegistry())

    async def volume() -> object:
        async with pool.connection() as connection:
            await measured.measure(JobRun(connection, None))
        return {sample.value for family in measured.collect() for sample in family.samples if "volume" in sample.name}

    await add_day(pool, TENANT, date(2020, 1, 1))
    await add_day(pool, OTHER, today)
    assert await volume() == {10}
    await add_day(pool, OTHER, today - timedelta(days=1))
    assert await volume() == {15}
    await add_day(pool, OTHER, date(2020, 1, 1))
    assert await volume() == {15}
