"""Amounts: decimals and minor units, fees by a rule, and what is shared out among payees."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

EXPONENTS: Final = {"USD": 2, "EUR": 2, "JPY": 0}


class Refused(Exception):
    """The ledger must answer *status* with *code* and *facts*; nothing is changed."""

    def __init__(self, code: str, status: int = 409, **facts: Any) -> None:
        super().__init__(code)
        self.code, self.status, self.facts = code, status, facts


def fee_of(rule: Mapping[str, Any], amount: int) -> int:
    """Return the fee by *rule*, whose amounts are of its currency: half a unit counts as one."""
    exact = Fraction(amount * rule.get("rate_ppm", 0), 1_000_000) + units(rule.get("flat", "0"), rule["currency"])
    if "minimum" in rule:
        exact = max(exact, Fraction(units(rule["minimum"], rule["currency"])))
    if "maximum" in rule:
        exact = min(exact, Fraction(units(rule["maximum"], rule["currency"])))
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


def units(amount: str, currency: str) -> int:
    """Return a decimal in minor units."""
    exact = Fraction(amount) * 10 ** EXPONENTS[currency]
    assert exact.denominator == 1
    return int(exact)


def text(amount: int, currency: str) -> str:
    """Return minor units as a decimal."""
    exponent = EXPONENTS[currency]
    sign, digits = "-" if amount < 0 else "", str(abs(amount)).rjust(exponent + 1, "0")
    return sign + (digits if exponent == 0 else f"{digits[:-exponent]}.{digits[-exponent:]}")


def money(amount: int, currency: str) -> dict[str, str]:
    """Return minor units as a request or an answer has them."""
    return {"amount": text(amount, currency), "currency": currency}


def minor(amount: Mapping[str, Any]) -> int:
    """Return an amount of a request or an answer in minor units."""
    sign = -1 if amount["amount"].startswith("-") else 1
    return sign * units(amount["amount"].lstrip("-"), amount["currency"])


def shared(amount: int, payees: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return each payee's part: fixed amounts, shares of what they leave, the rest; all of it must go."""
    fixed = [units(each["amount"]["amount"], each["amount"]["currency"]) if "amount" in each else 0 for each in payees]
    left = amount - sum(fixed)
    parts = [
        left * each["share_ppm"] // 1_000_000 if "share_ppm" in each else part
        for each, part in zip(payees, fixed, strict=True)
    ]
    rests = [index for index, each in enumerate(payees) if "rest" in each]
    shares = sum(each.get("share_ppm", 0) for each in payees)
    if left < 0 or len(rests) > 1 or shares > 1_000_000:
        raise Refused("distribution_mismatch", 422)
    over = amount - sum(parts)
    if rests:
        parts[rests[0]] = over
    elif shares == 1_000_000:
        sharing = [index for index, each in enumerate(payees) if "share_ppm" in each]
        for index in sharing[:over]:
            parts[index] += 1
    elif over:
        raise Refused("distribution_mismatch", 422)
    if min(parts) <= 0:
        raise Refused("share_too_small", 422)
    return parts
