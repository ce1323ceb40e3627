"""The judge of statements: a breach of each kind is planted and found."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.chaos.faults.closing import _unjoined, ends_of

ENDS = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2)]


def statement(nth: int, **changes: Any) -> Any:
    row = {
        "number": nth,
        "wallet_id": "w",
        "to_instant": ENDS[nth - 1],
        "first_version": 2 * nth - 1,
        "last_version": 2 * nth,
        "opening": 100 * (nth - 1),
        "closing": 100 * nth,
        "credits": 130,
        "debits": 30,
        "stands_at": 100 * nth,
        "events": 1,
    }
    return {**row, **changes}


def test_statements_that_follow_each_other_are_in_order() -> None:
    assert _unjoined([statement(1), statement(2)], ENDS) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"number": 3}, "a wallet's statements are"),
        ({"to_instant": ENDS[0]}, "a wallet's statements are"),
        ({"first_version": 4}, "does not begin where the last one ended"),
        ({"opening": 99, "credits": 131}, "does not begin where the last one ended"),
        ({"debits": 29}, "does not add up"),
        ({"stands_at": 201}, "ends with 200, the ledger with 201"),
        ({"events": 2}, "is told of 2 times"),
        ({"events": 0}, "is told of 0 times"),
    ],
)
def test_a_breach_of_each_kind_is_found(changes: dict[str, Any], told: str) -> None:
    (found,) = _unjoined([statement(1), statement(2, **changes)], ENDS)

    assert told in found


def test_a_statement_that_is_missing_is_found() -> None:
    assert _unjoined([statement(1)], ENDS)


def test_periods_end_one_after_another_between_what_moved() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    ends = ends_of(now, 4)

    assert ends == sorted(set(ends))
    assert ends[-1] < now
