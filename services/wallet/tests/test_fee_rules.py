"""What fee rules come to, exact to the unit; and which rules cannot stand beside each other."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import EXPONENTS
from wallet.domain.fee_rules import Band, FeeRule, FeeRules, contradictions

AT: Final = datetime(2026, 3, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)


def text(minor: int, currency: str) -> str:
    """Return minor units as a decimal of *currency*."""
    exponent = EXPONENTS[currency]
    digits = str(minor).rjust(exponent + 1, "0")
    return digits if exponent == 0 else f"{digits[:-exponent]}.{digits[-exponent:]}"


def half_up(exact: Fraction) -> int:
    whole, rest = divmod(exact.numerator, exact.denominator)
    return whole + (2 * rest >= exact.denominator)


def rule(**members: object) -> FeeRule:
    given: dict[str, object] = {"id": "r", "operation": "transfer", "currency": "USD", "bearer": "payer", **members}
    return FeeRule(**given)  # type: ignore[arg-type]  # members of the struct


currencies = st.sampled_from(["USD", "JPY", "BHD"])
minors = st.integers(0, 10_000_000)
rates = st.integers(0, 1_000_000)


@given(currencies, minors, rates, st.tuples(minors, minors), st.integers(1, 10**15))
def test_a_rate_and_a_flat_are_added_bounded_and_rounded_once(
    currency: str, flat: int, rate: int, bounds: tuple[int, int], amount: int
) -> None:
    low, more = bounds
    priced = rule(
        currency=currency,
        flat=text(flat, currency),
        rate_ppm=rate,
        minimum=text(low, currency),
        maximum=text(low + more, currency),
    )

    exact = Fraction(amount) * rate / 1_000_000 + flat
    assert priced.fee_minor(amount) == half_up(min(max(exact, Fraction(low)), Fraction(low + more)))


@st.composite
def banded(draw: st.DrawFn) -> tuple[list[tuple[int | None, int, int]], str]:
    ends = sorted(draw(st.sets(st.integers(1, 100_000), max_size=5)))
    bands = [(end, draw(st.integers(0, 500)), draw(rates)) for end in (*ends, None)]
    return bands, draw(st.sampled_from(["whole", "marginal"]))


@given(banded(), st.integers(1, 200_000))
def test_bands_price_all_of_it_or_what_is_within_each(
    priced: tuple[list[tuple[int | None, int, int]], str], amount: int
) -> None:
    bands, banding = priced
    made = tuple(
        Band(up_to=None if end is None else text(end, "USD"), flat=text(flat, "USD"), rate_ppm=rate)
        for end, flat, rate in bands
    )

    if banding == "whole":
        flat, rate = next((flat, rate) for end, flat, rate in bands if end is None or amount <= end)
        exact = flat + Fraction(amount * rate, 1_000_000)
    else:
        exact, low = Fraction(0), 0
        for end, flat, rate in bands:
            units = max(0, min(amount, amount if end is None else end) - low)
            if units:
                exact += flat + Fraction(units * rate, 1_000_000)
            low = low if end is None else end
    assert rule(bands=made, banding=banding).fee_minor(amount) == half_up(exact)


def test_the_tiers_own_rule_goes_before_the_one_for_all_and_time_counts() -> None:
    for_all, for_gold = rule(id="all", flat="1"), rule(id="gold", tier="gold", flat="0.50")
    later = rule(id="later", bearer="payee", valid_from=AT, valid_until=AT + DAY)
    rules = FeeRules([for_all, for_gold, later])

    def found(bearer: str, tier: str, at: datetime) -> str | None:
        each = rules.find("transfer", "USD", bearer, tier=tier, at=at)
        return None if each is None else each.id

    assert [found("payer", tier, AT) for tier in ("default", "gold")] == ["all", "gold"]
    assert [found("payee", "default", at) for at in (AT - DAY, AT, AT + DAY)] == [None, "later", None]
    assert rules.find("transfer", "EUR", "payer", tier="gold", at=AT) is None


@pytest.mark.parametrize(
    ("rules", "index"),
    [
        ([rule(id="a"), rule(id="b")], 1),
        ([rule(id="a", valid_until=AT), rule(id="b", valid_from=AT - DAY)], 1),
        ([rule(id="a", tier="x"), rule(id="b", tier="y"), rule(id="b", tier="z")], 2),
        ([rule(minimum="2", maximum="1")], 0),
        ([rule(bands=(Band(up_to="2"), Band(up_to="1"), Band()))], 0),
        ([rule(bands=(Band(up_to="2"),))], 0),
        ([rule(bands=(Band(), Band()))], 0),
        ([rule(bands=(Band(),), flat="1")], 0),
        ([rule(valid_from=AT, valid_until=AT)], 0),
        ([rule(operation="deposit")], 0),
        ([rule(operation="withdrawal", bearer="payee")], 0),
    ],
)
def test_what_cannot_stand_is_named(rules: list[FeeRule], index: int) -> None:
    assert index in {found for found, _ in contradictions(rules)}


def test_rules_that_follow_each_other_or_differ_can_stand() -> None:
    rules = [
        rule(id="a", valid_until=AT),
        rule(id="b", valid_from=AT),
        rule(id="c", tier="gold"),
        rule(id="d", bearer="payee"),
        rule(id="e", currency="EUR"),
        rule(id="f", operation="capture", bands=(Band(up_to="1"), Band(up_to="2"), Band())),
    ]

    assert not list(contradictions(rules))
