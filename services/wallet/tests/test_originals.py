"""How much of each entry goes back, against a model in fractions that knows the sequence of all refunds."""

from collections import defaultdict
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet.domain.originals import Original, OriginalEntry, closed, rests_of, shared_out, taken_back

MINOR = st.integers(1, 10**6)
PAYER = UUID(int=1)


def wallet(number: int, amount_minor: int, currency: str = "USD", *, is_fee: bool = False) -> OriginalEntry:
    return OriginalEntry(UUID(int=number), None, currency, amount_minor, is_fee)


def system(number: int, account: str, amount_minor: int, currency: str = "USD") -> OriginalEntry:
    return OriginalEntry(UUID(int=number), account, currency, amount_minor, account.startswith("fees:"))


@st.composite
def payments(draw: st.DrawFn) -> Original:
    """Draw a payment to wallets and outside, with fees of the payer and of some payees."""
    parts = draw(st.lists(MINOR, min_size=1, max_size=6))
    entries = [wallet(1, -sum(parts))]
    entries += [wallet(number, part) for number, part in enumerate(parts[1:], 2)]
    entries.append(draw(st.sampled_from([wallet(99, parts[0]), system(1, "external:USD", parts[0])])))
    for bearer in draw(st.lists(st.integers(1, len(parts)), unique=True)):
        fee = draw(st.integers(1, 1_000))
        entries += [wallet(bearer, -fee, is_fee=True), system(draw(st.sampled_from([1, bearer])), "fees:USD", fee)]
    return Original("payment", closed(entries))


@st.composite
def conversions(draw: st.DrawFn) -> Original:
    """Draw a conversion, with a fee of its payer at times."""
    source, destination, spread, rounding = draw(st.tuples(MINOR, MINOR, MINOR, st.integers(-1, 1)))
    entries = [
        wallet(1, -source),
        system(1, "fx:USD", source),
        wallet(2, destination, "EUR"),
        system(2, "fx:EUR", -destination - spread - rounding, "EUR"),
        system(2, "spread:EUR", spread, "EUR"),
    ]
    if rounding:
        entries.append(system(2, "rounding:EUR", rounding, "EUR"))
    if draw(st.booleans()):
        fee = draw(st.integers(1, 1_000))
        entries += [wallet(1, -fee, is_fee=True), system(1, "fees:USD", fee)]
    return Original("conversion", closed(entries))


def sums(original: Original, back: list[int]) -> dict[str, int]:
    total: defaultdict[str, int] = defaultdict(int)
    for entry, minor in zip(original.entries, back, strict=True):
        total[entry.currency] += minor
    return {currency: minor for currency, minor in total.items() if minor}


@given(original=st.one_of(payments(), conversions()), data=st.data())
def test_any_sequence_of_refunds_returns_what_it_should_and_in_the_end_everything(
    original: Original, data: st.DataObject
) -> None:
    returned = [0] * len(original.entries)
    left = {index: original.entries[index].amount_minor for index in original.payees}
    while sum(left.values()):
        amount = sum(left.values())
        if data.draw(st.integers(0, 3)):
            amount = data.draw(st.integers(1, amount))
        payees = shared_out(amount, left)
        with_fees = data.draw(st.booleans()) or amount == sum(left.values())
        rests = rests_of(original, returned)
        share = Fraction(amount, sum(left.values()))
        back = taken_back(original, returned, payees, with_fees=with_fees)

        assert sums(original, back) == {}
        for index, (entry, minor) in enumerate(zip(original.entries, back, strict=True)):
            if entry.closes:
                continue
            if entry.is_fee and not with_fees:
                assert minor == 0
                continue
            exact = -rests[index] * share
            assert abs(minor - exact) <= (len(original.entries) if entry.account else 1)
            assert min(0, -rests[index]) <= minor <= max(0, -rests[index]), "never beyond the original"
            returned[index] += minor
        for index, entry in enumerate(original.entries):
            if entry.closes:
                returned[index] += back[index]
        for index, part in payees.items():
            assert back[index] == -part
            left[index] -= part
    assert returned == [-entry.amount_minor for entry in original.entries]


@given(rests=st.lists(st.integers(0, 10**6), min_size=1, max_size=100).filter(any), data=st.data())
def test_parts_come_to_the_amount_and_none_is_more_than_a_unit_off_or_beyond_its_rest(
    rests: list[int], data: st.DataObject
) -> None:
    amount = data.draw(st.integers(1, sum(rests)))
    parts = shared_out(amount, dict(enumerate(rests)))

    assert sum(parts.values()) == amount
    for index, rest in enumerate(rests):
        assert 0 <= parts[index] <= rest
        assert -1 < parts[index] - Fraction(rest * amount, sum(rests)) <= 1


@pytest.mark.parametrize(
    ("amount", "rests", "expected"),
    [
        (1, [5, 5], [1, 0]),
        (2, [5, 5], [1, 1]),
        (3, [0, 5, 5], [0, 2, 1]),
        (10, [5, 5], [5, 5]),
        (3, [1, 1, 2], [1, 1, 1]),
        (5, [2, 3, 3, 2], [2, 1, 1, 1]),
    ],
)
def test_the_units_left_over_go_to_the_first(amount: int, rests: list[int], expected: list[int]) -> None:
    assert [*shared_out(amount, dict(enumerate(rests))).values()] == expected


def test_parts_of_some_payees_return_the_payers_and_the_fees_share() -> None:
    entries = [wallet(1, -30), wallet(2, 10), wallet(3, 20), wallet(1, -3, is_fee=True), system(1, "fees:USD", 3)]
    original = Original("payment", closed(entries))

    back = taken_back(original, (), {2: 20}, with_fees=True)
    assert back == [20, 0, -20, 2, -2]
    assert taken_back(original, back, {1: 10}, with_fees=True) == [10, -10, 0, 1, -1]


def test_a_conversion_is_refunded_at_the_rate_it_had() -> None:
    entries = [
        wallet(1, -10_000),
        system(1, "fx:USD", 10_000),
        wallet(2, 9_190, "EUR"),
        system(2, "fx:EUR", -9_237, "EUR"),
        system(2, "spread:EUR", 46, "EUR"),
        system(2, "rounding:EUR", 1, "EUR"),
    ]
    original = Original("conversion", closed(entries))
    assert (original.currency, original.refundable_minor) == ("EUR", 9_190)

    half = taken_back(original, (), {2: 4_595}, with_fees=False)
    assert half == [5_000, -5_000, -4_595, 4_618, -23, 0, 0]
    assert taken_back(original, half, {2: 4_595}, with_fees=False) == [5_000, -5_000, -4_595, 4_619, -23, -1, 0]
