from typing import Any

import pytest

from demo.findings import Findings
from demo.reconcile.rows import Event, JournalRow
from demo.reconcile.streams import each
from demo.reconcile.topic import NoEventError, TopicFigures, check_partition, parse_event

HEADERS = {
    "ce_specversion": b"1.0",
    "ce_id": b"id",
    "ce_type": b"wallet.opened.v1",
    "ce_time": b"2026-01-01T00:00:01.000000Z",
    "ce_subject": b"wallet",
    "ce_shard": b"0",
    "ce_sequence": b"1",
}


async def check(events: list[Event], rows: list[JournalRow]) -> tuple[set[str], TopicFigures]:
    findings, figures = Findings(), TopicFigures()
    await check_partition(each(events), {0: each(rows)}, findings, figures)
    return {name for name, invariant in findings.invariants.items() if not invariant.holds}, figures


async def test_a_topic_that_has_the_journal_holds(events: list[Event], journal: list[JournalRow]) -> None:
    broken, figures = await check(events, journal)

    assert broken == set()
    assert (figures.records, figures.duplicates, figures.publish_lag.count) == (6, 0, 6)
    lag = figures.publish_lag.percentile_ms(50)
    assert lag is not None
    assert 19 < lag < 21


async def test_what_comes_again_as_it_was_is_counted_and_no_breach(
    events: list[Event], journal: list[JournalRow]
) -> None:
    broken, figures = await check([*events[:4], *events[1:4], *events[4:]], journal)

    assert broken == set()
    assert figures.duplicates == 3


async def test_a_missing_event_is_found_in_the_middle_and_at_the_end(
    events: list[Event], journal: list[JournalRow]
) -> None:
    assert (await check(events[:2] + events[3:], journal))[0] == {"I6"}
    assert (await check(events[:-1], journal))[0] == {"I6"}
    assert (await check([], journal))[0] == {"I6"}


async def test_an_event_that_the_journal_lacks_is_found(events: list[Event], journal: list[JournalRow]) -> None:
    assert (await check(events, journal[:-1]))[0] == {"I6"}


async def test_an_event_of_a_shard_that_belongs_elsewhere_is_found(
    events: list[Event], journal: list[JournalRow]
) -> None:
    assert (await check([*events, events[0]._replace(shard=1)], journal))[0] == {"I6"}


async def test_first_occurrences_out_of_order_are_found(events: list[Event], journal: list[JournalRow]) -> None:
    broken, _ = await check([events[0], events[2], events[1], *events[3:]], journal)

    assert "I7" in broken


async def test_a_repeat_that_is_another_event_is_found(events: list[Event], journal: list[JournalRow]) -> None:
    assert (await check([*events, events[5]._replace(event_id="other")], journal))[0] == {"I6"}


@pytest.mark.parametrize(
    "changed",
    [
        {"event_id": "other"},
        {"key": "other"},
        {"subject": "other"},
        {"type": "wallet.closed.v1"},
        {"version": 9},
        {"transaction_id": None},
        {"entry_index": 1},
        {"entry_count": 3},
        {"body": b"{}"},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_an_event_that_says_something_else_than_its_row_is_found(
    events: list[Event], journal: list[JournalRow], changed: dict[str, Any]
) -> None:
    events[4] = events[4]._replace(**changed)

    assert (await check(events, journal))[0] == {"I6"}


def test_a_record_is_parsed_from_its_headers() -> None:
    event = parse_event(b"wallet", HEADERS.items(), b"{}", 1_767_225_601_020)

    assert (event.shard, event.seq, event.version, event.body) == (0, 1, None, b"{}")
    assert event.published_at_s is not None
    assert event.published_at_s - event.occurred_at.timestamp() == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize("missing", sorted(HEADERS))
def test_a_record_without_a_header_is_no_event(missing: str) -> None:
    with pytest.raises(NoEventError):
        parse_event(b"wallet", ((name, text) for name, text in HEADERS.items() if name != missing), b"{}", 0)


@pytest.mark.parametrize(("key", "value"), [(None, b"{}"), (b"wallet", None), (b"\xff", b"{}")])
def test_a_record_without_key_or_body_is_no_event(key: bytes | None, value: bytes | None) -> None:
    with pytest.raises(NoEventError):
        parse_event(key, HEADERS.items(), value, 0)


@pytest.mark.parametrize("name", ["ce_shard", "ce_time"])
def test_a_header_that_is_malformed_makes_it_no_event(name: str) -> None:
    with pytest.raises(NoEventError):
        parse_event(b"wallet", {**HEADERS, name: b"x"}.items(), b"{}", 0)
