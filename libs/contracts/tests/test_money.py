"""Money goes in as text, is an integer inside, and comes out as the same amount."""

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import (
    AMOUNT_MINOR_MAX,
    EXPONENTS,
    MoneyError,
    format_minor,
    money,
    parse_amount_minor,
    parse_signed_minor,
)

currencies = st.sampled_from(sorted(EXPONENTS))


@given(st.integers(1, AMOUNT_MINOR_MAX), currencies)
def test_what_is_written_is_read_back(amount_minor: int, currency: str) -> None:
    assert parse_amount_minor(format_minor(amount_minor, currency), currency) == amount_minor


@given(st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX), currencies)
def test_signed_money_is_read_back(amount_minor: int, currency: str) -> None:
    assert parse_signed_minor(money(amount_minor, currency)) == amount_minor


@pytest.mark.parametrize(
    ("amount", "currency", "amount_minor"),
    [("12.3", "USD", 1230), ("12.30", "USD", 1230), ("1", "JPY", 1), ("0.001", "BHD", 1), ("1.2345", "CLF", 12345)],
)
def test_fewer_decimals_mean_the_same_amount(amount: str, currency: str, amount_minor: int) -> None:
    assert parse_amount_minor(amount, currency) == amount_minor


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("0", "USD", "amount_not_positive"),
        ("0.00", "USD", "amount_not_positive"),
        ("-1", "USD", "invalid_amount"),
        ("+1", "USD", "invalid_amount"),
        ("1e2", "USD", "invalid_amount"),
        ("1,000.00", "USD", "invalid_amount"),
        ("01.00", "USD", "invalid_amount"),
        ("1.", "USD", "invalid_amount"),
        (".5", "USD", "invalid_amount"),
        (" 1", "USD", "invalid_amount"),
        ("\u0661", "USD", "invalid_amount"),
        ("NaN", "USD", "invalid_amount"),
        ("Infinity", "USD", "invalid_amount"),
        ("", "USD", "invalid_amount"),
        ("1.001", "USD", "too_many_decimals"),
        ("1.0", "JPY", "too_many_decimals"),
        ("9000000000000.01", "USD", "amount_too_large"),
        ("1", "XXX", "unknown_currency"),
        ("1", "usd", "unknown_currency"),
    ],
)
def test_a_bad_amount_is_named(amount: str, currency: str, code: str) -> None:
    with pytest.raises(MoneyError) as refusal:
        parse_amount_minor(amount, currency)

    assert refusal.value.code == code


def test_the_exponents_are_those_of_iso_4217() -> None:
    published = {c.code.upper(): c.exponent for c in iso4217.Currency if c.exponent is not None}

    assert published.items() <= EXPONENTS.items()
    assert all(0 <= exponent <= 9 for exponent in EXPONENTS.values())
