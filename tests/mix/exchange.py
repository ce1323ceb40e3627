"""What a conversion must come to, by fractions: rates over a base, the spread, and where each amount is rounded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final

EXPONENTS: Final = {"USD": 2, "EUR": 2, "JPY": 0}
BASE: Final = "EUR"
RATES: Final = {"USD": "1.0823", "JPY": "162.60"}
"""Of one of the base."""
DIGITS: Final = 12


@dataclass(frozen=True)
class Quote:
    """A promise: *source* minor units become *destination*."""

    source_currency: str
    destination_currency: str
    source: int
    destination: int
    mid: Fraction
    spread_ppm: int
    expires_at: datetime


def document(as_of: datetime) -> str:
    """Return the rates as a source publishes them."""
    return json.dumps({"base": BASE, "as_of": as_of.isoformat(), "rates": RATES})


def mid_rate(source: str, destination: str) -> Fraction:
    """Return destination per source: of twelve significant digits, half to even."""
    exact = _per_base(destination) / _per_base(source)
    shift = DIGITS
    while exact * 10**shift >= 10**DIGITS:
        shift -= 1
    return Fraction(_half_even(exact * 10**shift), 10**shift)


def in_minor(rate: Fraction, source: str, destination: str) -> Fraction:
    """Return a rate between minor units."""
    scaled: Fraction = rate * Fraction(10) ** (EXPONENTS[destination] - EXPONENTS[source])
    return scaled


def destination_of(source_minor: int, rate: Fraction, spread_ppm: int) -> int:
    """Return what a client gets: rounded down."""
    return floor(source_minor * rate * (1_000_000 - spread_ppm) / 1_000_000)


def source_of(destination_minor: int, rate: Fraction, spread_ppm: int) -> int:
    """Return what a client must give: rounded up."""
    return ceil(destination_minor * 1_000_000 / (rate * (1_000_000 - spread_ppm)))


def entries(quote: Quote, payer: str, payee: str) -> list[tuple[str, int]]:
    """Return the conversion's entries."""
    to = quote.destination_currency
    rate = in_minor(quote.mid, quote.source_currency, to)
    mid, spread = _half_even(quote.source * rate), _half_even(quote.source * rate * quote.spread_ppm / 1_000_000)
    rest = {f"spread:{to}": spread, f"rounding:{to}": mid - quote.destination - spread}
    return [
        (payer, -quote.source),
        (f"fx:{quote.source_currency}", quote.source),
        (payee, quote.destination),
        (f"fx:{to}", -mid),
        *((account, amount) for account, amount in rest.items() if amount),
    ]


def spread_of(terms: Mapping[str, Any], source: str, destination: str) -> int | None:
    """Return the pair's spread, None where the policy does not offer it."""
    for pair in terms.get("pairs", ()):
        if (pair["source_currency"], pair["destination_currency"]) == (source, destination):
            spread: int = pair.get("spread_ppm", terms["spread_ppm"])
            return spread
    return None


def _per_base(currency: str) -> Fraction:
    return Fraction(1) if currency == BASE else Fraction(RATES[currency])


def _half_even(exact: Fraction) -> int:
    return round(exact)
