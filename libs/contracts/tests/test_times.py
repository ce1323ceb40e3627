"""Instants: RFC 3339, all of it and nothing else."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import rfc3339
from contracts.times import InstantError, parse_instant

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T09:30:00Z", AT),
        ("2026-01-31t09:30:00z", AT),
        ("2026-01-31T10:30:00+01:00", AT),
        ("2026-01-31T09:30:00-00:00", AT),
        ("2026-01-30T09:31:00-23:59", AT),
        ("2026-01-31T09:30:00.5Z", AT + timedelta(microseconds=500_000)),
        ("2026-01-31T09:30:00.123456999Z", AT + timedelta(microseconds=123_456)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T00:59:60.25+01:00", datetime(2017, 1, 1, microsecond=250_000, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant
    assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "2026-01-31",
            "2026-01-31T09:30:00",
            "2026-01-31T09:30Z",
            "20260131T093000Z",
            "2026-W05-6T09:30:00Z",
        ),
        *("2026-01-31 09:30:00Z", "2026-01-31T09:30:00,5Z", "2026-01-31T09:30:00.Z", "2026-01-31T09:30:00+01"),
        *("2026-01-31T09:30:00+0100", "2026-01-31T09:30:00+24:00", "2026-01-31T09:30:00+01:60", "2026-1-31T09:30:00Z"),
        *("2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T09:60:00Z"),
        *("2026-01-31T09:30:60Z", "2026-01-31T09:30:61Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"),
        *("9999-12-31T23:59:60Z", "12026-01-31T09:30:00Z", "2026-01-31T09:30:00Z\n", " 2026-01-31T09:30:00Z"),
        *("2026-01-31T09:30:00." + "1" * 501 + "Z", "٢٠٢٦-01-31T09:30:00Z", "2026-01-31T09:30:00 01:00", "-2026-01-31"),
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(InstantError):
        parse_instant(text)


def test_a_plus_that_a_url_made_a_space_is_explained() -> None:
    with pytest.raises(InstantError, match="%2B"):
        parse_instant("2026-01-31T09:30:00 01:00")


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_instant_that_we_write_is_read(instant: datetime) -> None:
    assert parse_instant(rfc3339(instant)) == instant


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001  they get one below
    st.integers(-1439, 1439),
)
def test_every_offset_is_read(local: datetime, minutes: int) -> None:
    instant = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert parse_instant(instant.isoformat()) == instant


@given(st.text())
def test_any_text_is_an_instant_or_refused(text: str) -> None:
    with suppress(InstantError):
        assert parse_instant(text).tzinfo is UTC
