"""Partitions of the read model: made before they are needed, in time, and never for what is dated out of reason."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Envelope
from contracts.ids import new_id
from servicekit.clock import utc_now
from servicekit.maintenance import JobRun
from servicekit.postgres import Pool
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.read_api import ReadApi
from transaction_history.domain.months import made_at, month_of, months_of, next_months
from transaction_history.domain.project import Contradiction
from transaction_history.maintenance.ledger_jobs import ledger_jobs, partitions_check

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)), st.integers(0, 30))  # noqa: DTZ001  Hypothesis wants them naive
def test_months_follow_one_another(instant: datetime, count: int) -> None:
    months = next_months(month_of(instant), count)

    assert months[0] <= instant.date() < next_months(months[0], 1)[1]
    assert len(months) == count + 1
    assert all(one < other and other.day == 1 for one, other in pairwise(months))


def test_an_id_tells_when_it_was_made() -> None:
    before = utc_now() - timedelta(milliseconds=1)

    assert before <= made_at(new_id()) <= utc_now()
    assert made_at(UUID(int=2**128 - 1)).year == 9999


def test_what_is_dated_forty_days_ahead_is_a_contradiction() -> None:
    assert months_of([NOW + timedelta(days=40)], [], NOW) == ({date(2027, 1, 1)}, set())
    for instant in (NOW + timedelta(days=40, microseconds=1), datetime(1999, 12, 31, tzinfo=UTC)):
        with pytest.raises(Contradiction):
            months_of([instant], [], NOW)


@asynccontextmanager
async def as_app(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn_app)
    try:
        yield connection
    finally:
        await connection.close()


def dated(event: Envelope, instant: datetime) -> Envelope:
    return msgspec.structs.replace(event, time=instant)


@pytest.mark.integration
async def test_a_month_that_nobody_made_is_made_by_the_poll_that_needs_it(bench: ReadApi, database: Database) -> None:
    wallet = wallet_in(3)
    events = [bench.stream.opened(wallet), *(bench.stream.deposited(wallet) for _ in range(3))]
    times = [datetime(2019, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)]

    await bench.project(*(dated(event, at) for event, at in zip(events, [times[0], *times, times[1]], strict=True)))

    entries = (await bench.get(f"wallets/{wallet}/entries"))["data"]
    assert [entry["version"] for entry in entries] == [4, 3, 2]
    async with as_app(database) as connection:
        counts = await connection.fetch(
            "select tableoid::regclass::text as name, count(*) from transaction_history.entry group by 1 order by 1"
        )
    assert [tuple(row) for row in counts] == [
        ("transaction_history.entry_2019_12", 1),
        ("transaction_history.entry_2020_01", 2),
    ]


@pytest.mark.integration
async def test_an_event_dated_out_of_reason_parks_its_wallet_and_no_other(bench: ReadApi) -> None:
    ours, others = wallet_in(3), wallet_in(4)
    far = dated(bench.stream.opened(ours), utc_now() + timedelta(days=41))

    await bench.project(far, bench.stream.opened(others))

    assert (await bench.get(f"wallets/{others}"))["version"] == 1
    assert [row["id"] for row in (await bench.get("wallets"))["data"]] == [str(others)]


@pytest.mark.integration
async def test_the_app_role_makes_partitions_and_nothing_else(database: Database) -> None:
    async with as_app(database) as connection:
        for months in ("2026-01-02", "1999-12-01", "2999-01-01"):
            with pytest.raises(asyncpg.DatetimeFieldOverflowError):
                await connection.execute(
                    "select transaction_history.make_partitions(array[$1::text::date], array[]::date[])", months
                )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("create table transaction_history.mine (id int)")


@pytest.mark.integration
async def test_three_months_are_kept_ahead_and_a_check_tells(pool: Pool) -> None:
    assert not (await partitions_check(pool)).ok
    (job,) = ledger_jobs()
    async with pool.connection() as connection:
        await job.run(JobRun(connection, None))

    check = await partitions_check(pool)

    assert (check.ok, check.detail) == (True, "3 months ahead")
