"""The rate algorithm: never more than burst and rate allow, in integers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.limits.gcra import WHOLE, Rate, left, state_with, take

RATES = st.builds(Rate, st.integers(1, 1_000), st.integers(1, 50))
STEPS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 60)), max_size=60)


@given(RATES, STEPS, st.integers(0, 10**12))
def test_no_window_has_more_than_burst_and_rate_allow(rate: Rate, steps: list[tuple[int, int]], began_us: int) -> None:
    now_us, state, allowed = began_us, WHOLE, []
    for pause_us, cost in steps:
        now_us += pause_us
        taken = take(state, rate, cost, now_us)
        state = taken.state
        if taken.allowed:
            allowed.append((now_us, cost))

    for first, (since_us, _) in enumerate(allowed):
        total = 0
        for until_us, cost in allowed[first:]:
            total += cost
            assert total <= rate.burst + (until_us - since_us) // rate.emission_us


@given(RATES, STEPS)
def test_a_refusal_changes_nothing_and_says_when_to_come_again(rate: Rate, steps: list[tuple[int, int]]) -> None:
    now_us, state = 0, WHOLE
    for pause_us, cost in steps:
        now_us += pause_us
        taken = take(state, rate, cost, now_us)
        if taken.allowed:
            assert (taken.retry_after_us, taken.remaining) == (0, left(taken.state, rate, now_us))
        elif taken.retry_after_us is None:
            assert cost > rate.burst
            assert taken.state == state
        else:
            assert taken.state == state
            assert take(state, rate, cost, now_us + taken.retry_after_us).allowed
            assert not take(state, rate, cost, now_us + taken.retry_after_us - 1).allowed
        state = taken.state


@given(RATES, st.integers(0, 10**12), st.data())
def test_a_state_is_worth_the_units_it_was_made_of(rate: Rate, now_us: int, data: st.DataObject) -> None:
    units = data.draw(st.integers(-100, rate.burst))

    assert left(state_with(units, rate, now_us), rate, now_us) == units


@given(st.integers(1, 1_000_000), st.integers(1, 100))
def test_a_rate_is_never_faster_than_asked_for(units: int, seconds: int) -> None:
    rate = Rate.of(units, seconds=seconds, burst=1)

    assert rate.emission_us * units >= seconds * 1_000_000 > (rate.emission_us - 1) * units


@pytest.mark.parametrize(
    ("units", "seconds", "burst"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1_000_001, 1, 1), (1, 86_400, 2), (-1, 1, 1)]
)
def test_what_is_no_rate_is_refused(units: int, seconds: int, burst: int) -> None:
    with pytest.raises(ValueError, match=r"rate|burst"):
        Rate.of(units, seconds=seconds, burst=burst)


def test_what_is_taken_comes_back_unit_by_unit() -> None:
    rate = Rate.of(10, burst=3)
    state = take(WHOLE, rate, 3, 0).state

    worth = [left(state, rate, now_us) for now_us in range(0, 400_000, 50_000)]

    assert worth == [0, 0, 1, 1, 2, 2, 3, 3]
    assert all(later >= earlier for earlier, later in pairwise(worth))
