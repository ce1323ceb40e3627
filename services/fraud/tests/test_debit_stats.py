"""Debit statistics against a model that keeps every debit: exact while there are few, within the bound beyond."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.domain.debit_stats import (
    GRAIN_US,
    HORIZON_US,
    NO_DEBITS,
    POINTS_MAX,
    RECENT_MAX,
    SHARPNESS,
    DebitStats,
    restarted,
    since,
    with_debit,
)

S = 1_000_000
GAPS = st.one_of(st.just(0), st.integers(0, S), st.integers(0, 3_600 * S), st.integers(0, 4 * 24 * 3_600 * S))
AMOUNTS = st.integers(1, 9 * 10**14)
WINDOWS = st.one_of(st.integers(1, 60 * S), st.integers(1, HORIZON_US))


@dataclass
class Model:
    """Every debit there was."""

    debits: list[tuple[int, int]] = field(default_factory=list)
    counted_from: int = 0

    def since(self, cutoff_us: int) -> tuple[int, int]:
        found = [amount for at_us, amount in self.debits[self.counted_from :] if at_us > cutoff_us]
        return len(found), sum(found)


def folded(debits: list[tuple[int, int]]) -> DebitStats:
    stats = NO_DEBITS
    for at_us, amount_minor in debits:
        stats = with_debit(stats, at_us, amount_minor)
    return stats


@given(st.lists(st.tuples(GAPS, AMOUNTS, st.booleans()), max_size=120), st.lists(WINDOWS, min_size=1, max_size=5))
def test_few_debits_are_counted_exactly_in_any_window(steps: list[tuple[int, int, bool]], windows: list[int]) -> None:
    stats, model, now_us = NO_DEBITS, Model(), 0
    for gap_us, amount_minor, restarts in steps:
        now_us += gap_us
        stats = with_debit(stats, now_us, amount_minor)
        model.debits.append((now_us, amount_minor))
        if restarts:
            stats, model.counted_from = restarted(stats), len(model.debits)
        for window_us in windows:
            assert since(stats, now_us - window_us) == model.since(now_us - window_us)


@given(st.lists(st.tuples(GAPS, AMOUNTS), max_size=60))
def test_totals_are_those_of_all_debits(steps: list[tuple[int, int]]) -> None:
    now_us, debits = 0, []
    for gap_us, amount_minor in steps:
        now_us += gap_us
        debits.append((now_us, amount_minor))

    stats = folded(debits)

    amounts = [amount for _, amount in debits]
    assert (stats.count, stats.sum_minor, stats.sum_of_squares) == (
        len(amounts),
        sum(amounts),
        sum(a * a for a in amounts),
    )


@settings(max_examples=12)
@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from([1e-6, 1e-4, 1e-2, 1.0, 60.0, 3_600.0]), min_size=1, max_size=4),
)
def test_many_debits_are_never_missed_and_over_counted_within_the_bound(seed: int, mean_gaps_s: list[float]) -> None:
    dice, stats, model, now_us = random.Random(seed), NO_DEBITS, Model(), 0
    for number in range(6_000):
        mean_gap_s = mean_gaps_s[number * len(mean_gaps_s) // 6_000]
        now_us += int(dice.expovariate(1 / mean_gap_s) * S)
        stats = with_debit(stats, now_us, dice.randrange(1, 10_000))
        model.debits.append((now_us, stats.sum_minor))
        assert len(stats.older) <= POINTS_MAX
        assert len(stats.recent) < RECENT_MAX
    model.debits = [(at_us, total - before) for (at_us, total), before in _with_before(model.debits)]
    for _ in range(50):
        window_us = int(10 ** dice.uniform(0, 11.78))
        count, sum_minor = since(stats, now_us - window_us)
        least = model.since(now_us - window_us)
        most = model.since(now_us - window_us - max(window_us // SHARPNESS, GRAIN_US))
        assert least[0] <= count <= most[0]
        assert least[1] <= sum_minor <= most[1]


def _with_before(totals: list[tuple[int, int]]) -> list[tuple[tuple[int, int], int]]:
    return list(zip(totals, [0, *(total for _, total in totals)], strict=False))


def test_what_is_older_than_the_horizon_is_forgotten_but_stays_in_the_totals() -> None:
    stats = folded([(second * S, 1) for second in range(100)])

    for late in range(64):
        stats = with_debit(stats, 2 * HORIZON_US + late, 1)

    assert len(stats.older) + len(stats.recent) == 64
    assert since(stats, 2 * HORIZON_US - HORIZON_US) == (64, 64)
    assert stats.count == 164
