"""How an amount is shared out, against a model that counts units one by one."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet.domain.destinations import DESTINATIONS_MAX, PPM, Destination, share_out
from wallet.domain.outcomes import RefusalCode

FIXED = st.integers(1, 10**6).map(lambda minor: Destination(amount_minor=minor))
SHARED = st.integers(1, PPM).map(lambda ppm: Destination(share_ppm=ppm))
REST = st.just(Destination())


def of(*parts: int | str | None) -> list[Destination]:
    """Return fixed amounts for integers, shares for `40%`, the rest for None."""
    return [
        Destination()
        if part is None
        else Destination(amount_minor=part)
        if isinstance(part, int)
        else Destination(share_ppm=int(part.removesuffix("%")) * 10_000)
        for part in parts
    ]


@pytest.mark.parametrize(
    ("amount", "parts", "expected"),
    [
        (100, of(100), [100]),
        (100, of(None), [100]),
        (100, of(30, None), [30, 70]),
        (100, of("50%", "50%"), [50, 50]),
        (101, of("50%", "50%"), [51, 50]),
        (100, of(1, "50%", "50%"), [1, 50, 49]),
        (100, of("33%", "33%", None), [33, 33, 34]),
        (10, of("33%", "33%", "34%"), [4, 3, 3]),
        (100, of(101), RefusalCode.DISTRIBUTION_MISMATCH),
        (100, of(99), RefusalCode.DISTRIBUTION_MISMATCH),
        (100, of(50, "50%"), RefusalCode.DISTRIBUTION_MISMATCH),
        (100, of(None, None), RefusalCode.DISTRIBUTION_MISMATCH),
        (100, of("60%", "50%"), RefusalCode.DISTRIBUTION_MISMATCH),
        (100, of(100, None), RefusalCode.SHARE_TOO_SMALL),
        (100, of("100%", None), RefusalCode.SHARE_TOO_SMALL),
        (1, of("50%", "50%"), RefusalCode.SHARE_TOO_SMALL),
        (100, of(100, "100%"), RefusalCode.SHARE_TOO_SMALL),
    ],
)
def test_examples(amount: int, parts: list[Destination], expected: list[int] | RefusalCode) -> None:
    assert share_out(amount, parts) == expected


@given(
    amount=st.integers(1, 10**9),
    destinations=st.lists(st.one_of(FIXED, SHARED, REST), min_size=1, max_size=DESTINATIONS_MAX),
)
def test_what_is_shared_out_is_all_of_it_and_each_share_is_within_a_unit(
    amount: int, destinations: list[Destination]
) -> None:
    parts = share_out(amount, destinations)
    if isinstance(parts, RefusalCode):
        return
    left = amount - sum(each.amount_minor or 0 for each in destinations)
    assert sum(parts) == amount
    assert min(parts) > 0
    for part, each in zip(parts, destinations, strict=True):
        if each.amount_minor is not None:
            assert part == each.amount_minor
        if each.share_ppm is not None:
            assert (
                0 <= Fraction(part) - Fraction(left * each.share_ppm, PPM) < 1 or part == left * each.share_ppm // PPM
            )


@given(amount=st.integers(100, 10**9), cuts=st.lists(st.integers(1, PPM - 1), min_size=1, max_size=20, unique=True))
def test_shares_of_everything_always_fit_unless_one_comes_to_nothing(amount: int, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), PPM]
    shares = [Destination(share_ppm=after - before) for before, after in pairwise(edges)]

    parts = share_out(amount, shares)

    if isinstance(parts, RefusalCode):
        assert parts is RefusalCode.SHARE_TOO_SMALL
    else:
        assert sum(parts) == amount
