"""What is late or no refusal to come again after is found, and nothing else is."""

import pytest
from tests.chaos.load.exchanges import LOST, Exchange, late, not_retryable, refused

DONE = Exchange(0.0, 0.1, 201, "")
RULED = Exchange(0.0, 0.1, 409, "insufficient_funds")
REFUSED = Exchange(0.0, 0.1, 503, "overloaded", has_retry_after=True)
LOST_ON_THE_WAY = Exchange(0.0, 0.1, None, "ConnectionResetError")


def test_clean_exchanges_are_left_alone() -> None:
    exchanges = [DONE, RULED, REFUSED, LOST_ON_THE_WAY]

    assert not list(late(exchanges, 1.0))
    assert not list(not_retryable(exchanges, lost=LOST))
    assert refused(exchanges) == {"overloaded": 1}


@pytest.mark.parametrize(
    "bad",
    [
        Exchange(0.0, 0.1, 500, "internal_error"),
        Exchange(0.0, 0.1, 503, "overloaded"),
        Exchange(0.0, 0.1, None, "TimeoutError"),
        LOST_ON_THE_WAY,
    ],
)
def test_a_failure_that_is_no_refusal_to_come_again_after_is_found(bad: Exchange) -> None:
    (found,) = not_retryable([DONE, bad])

    assert bad.told in found


def test_a_late_answer_is_found() -> None:
    (found,) = late([DONE, Exchange(0.0, 3.0, None, "TimeoutError")], 2.0)

    assert "3.0 s" in found


@pytest.mark.parametrize(("began_s", "overlaps"), [(0.0, False), (0.95, True), (1.5, True), (2.1, False)])
def test_an_exchange_overlaps_a_time_in_which_it_was_under_way(began_s: float, overlaps: bool) -> None:  # noqa: FBT001  a table's column
    assert Exchange(began_s, 0.1, 201, "").overlaps(1.0, 2.0) is overlaps
