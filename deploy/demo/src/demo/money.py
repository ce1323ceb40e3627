"""Amounts, read and written by code of the demo's own: what it checks must not check itself."""

import re
from functools import lru_cache

from contracts.money import AMOUNT_MINOR_MAX, EXPONENTS

_DECIMAL = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,30}))?", re.ASCII)


class AmountError(ValueError):
    """The text is not an amount of its currency; the message is a sentence for people."""


@lru_cache(maxsize=65_536)
def to_minor(amount: str, currency: str) -> int:
    """Return the positive decimal *amount* in minor units of *currency*, zeros at its ends apart; raise AmountError."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise AmountError(f"{currency!r} is not an ISO 4217 code this platform knows")
    found = _DECIMAL.fullmatch(amount)
    if found is None:
        raise AmountError(f"{amount!r} is not a plain decimal such as 12.34")
    decimals = (found[2] or "").rstrip("0")
    if len(decimals) > exponent:
        raise AmountError(f"{amount!r} has too many decimals: {currency} has {exponent}")
    minor = int(found[1] + decimals.ljust(exponent, "0"))
    if minor == 0:
        raise AmountError("the amount must be greater than zero")
    if minor > AMOUNT_MINOR_MAX:
        raise AmountError(f"{amount!r} is more than one amount may be ({AMOUNT_MINOR_MAX} minor units)")
    return minor


def to_text(minor: int, currency: str) -> str:
    """Return *minor* units of *currency* as a decimal string with all decimals, signed where negative."""
    exponent = EXPONENTS[currency]
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    sign = "-" if minor < 0 else ""
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else f"{sign}{digits}"


def from_text(amount: str, currency: str) -> int:
    """Return the minor units of an *amount* that the platform wrote, sign and zero included."""
    negative = amount.startswith("-")
    whole, _, decimals = amount.removeprefix("-").partition(".")
    minor = int(whole + decimals.ljust(EXPONENTS[currency], "0"))
    return -minor if negative else minor
