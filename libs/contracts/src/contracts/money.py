"""Money: an integer of minor units inside, a decimal string with its currency outside.

The exponents in ``currencies.json`` are ISO 4217's. An exponent is never changed once a ledger has used it.
"""

import json
import re
from functools import lru_cache
from importlib import resources
from typing import Final

import msgspec

AMOUNT_MINOR_MAX: Final = 9 * 10**14
"""The largest single amount, in minor units."""

BALANCE_MINOR_MAX: Final = 9 * 10**18
"""A balance beyond this, either way, is refused (`balance_overflow`): it still fits a signed 64-bit integer."""

EXPONENTS: Final[dict[str, int]] = json.loads(resources.files(__package__).joinpath("currencies.json").read_text())
"""Currency code to the number of its decimals, 0 to 9."""

_UNSIGNED_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,18}))?", re.ASCII)


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount as clients and subscribers see it: `{"amount": "12.34", "currency": "USD"}`."""

    amount: str
    currency: str


class MoneyError(ValueError):
    """The text is not a valid amount. *code* is a stable field code, *detail* a sentence for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def exponent_of(currency: str) -> int:
    """Return how many decimals *currency* has; raise MoneyError `unknown_currency`."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise MoneyError("unknown_currency", "The currency is not an ISO 4217 code this platform knows.") from None


def parse_amount_minor(amount: str, currency: str) -> int:
    """Return the positive *amount* of *currency* in minor units.

    Raises MoneyError with `unknown_currency`, `invalid_amount`, `too_many_decimals`, `amount_not_positive` or
    `amount_too_large`.
    """
    amount_minor = parse_limit_minor(amount, currency)
    if amount_minor == 0:
        raise MoneyError("amount_not_positive", "The amount must be greater than zero.")
    return amount_minor


def parse_limit_minor(amount: str, currency: str) -> int:
    """Return *amount* in minor units where zero is allowed; raises as `parse_amount_minor` does."""
    exponent = exponent_of(currency)
    match = _UNSIGNED_DECIMAL.fullmatch(amount)
    if match is None:
        raise MoneyError("invalid_amount", "The amount must be a plain decimal string such as 12.34, without a sign.")
    whole, decimals = match[1], match[2] or ""
    if len(decimals) > exponent:
        raise MoneyError("too_many_decimals", f"{currency} has at most {exponent} decimals.")
    amount_minor = int(whole + decimals.ljust(exponent, "0"))
    if amount_minor > AMOUNT_MINOR_MAX:
        raise MoneyError("amount_too_large", f"One amount is at most {AMOUNT_MINOR_MAX} minor units.")
    return amount_minor


_UNITS: Final[dict[str, int]] = {currency: 10**exponent for currency, exponent in EXPONENTS.items()}
_FORMS: Final = {currency: f"%d.%0{exponent}d" if exponent else "%d%.0s" for currency, exponent in EXPONENTS.items()}


def format_minor(amount_minor: int, currency: str) -> str:
    """Return *amount_minor* as a decimal string with all of the currency's decimals, signed where negative."""
    if amount_minor < 0:
        return "-" + _FORMS[currency] % divmod(-amount_minor, _UNITS[currency])
    return _FORMS[currency] % divmod(amount_minor, _UNITS[currency])


@lru_cache(maxsize=4_096)
def money(amount_minor: int, currency: str) -> Money:
    """Return *amount_minor* as clients see it. Cached: an amount occurs in several places of its answer and events."""
    return Money(format_minor(amount_minor, currency), currency)


def parse_signed_minor(body: Money) -> int:
    """Return the minor units of a *body* this platform wrote, sign included; the inverse of `money`."""
    negative = body.amount.startswith("-")
    whole, _, decimals = body.amount.removeprefix("-").partition(".")
    minor = int(whole + decimals.ljust(EXPONENTS[body.currency], "0"))
    return -minor if negative else minor
