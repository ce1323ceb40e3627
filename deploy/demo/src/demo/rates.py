"""Conversions, by fractions: rates over a base, the spread, and where each amount is rounded."""

import json
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from math import ceil, floor
from pathlib import Path
from typing import Any, Final

from contracts.money import EXPONENTS
from demo.states import QuoteState

RATES: Final = Path(__file__).resolve().parents[2] / "data" / "rates.json"
"""What the platform is given, too."""
DIGITS: Final = 12
_PPM: Final = 1_000_000


def spread_of(terms: Mapping[str, Any], source: str, target: str) -> int | None:
    """Return the spread at which a pair is offered in this direction, None where it is not."""
    offered: dict[tuple[str, str], int] = {
        (pair["source_currency"], pair["destination_currency"]): pair.get("spread_ppm", terms["spread_ppm"])
        for pair in terms.get("pairs", ())
    }
    return offered.get((source, target))


@cache
def mid_of(source: str, target: str) -> Fraction:
    """Return what one of *source* is in *target*: over the base, to 12 significant digits, half to even."""
    per_base = _per_base()
    exact = per_base[target] / per_base[source]
    scale = Fraction(1)
    while exact * scale >= 10**DIGITS:
        scale /= 10
    while exact * scale < 10 ** (DIGITS - 1):
        scale *= 10
    return round(exact * scale) / scale


def promise(source: str, target: str, spread_ppm: int, *, gives: int | None, gets: int | None) -> QuoteState:
    """Return the quote for an amount of either currency: what is got is rounded down, what is given up."""
    mid = mid_of(source, target)
    kept = _between_minor(mid, source, target) * (_PPM - spread_ppm) / _PPM
    if gives is None:
        assert gets is not None
        gives = ceil(gets / kept)
    return QuoteState(source, target, gives, floor(gives * kept) if gets is None else gets, mid, spread_ppm)


def sides(quote: QuoteState) -> tuple[int, int, int]:
    """Return what the platform gives at the mid rate, its spread, and what rounding leaves of both."""
    at_mid = quote.source_minor * _between_minor(quote.mid, quote.source, quote.target)
    given, spread = round(at_mid), round(at_mid * quote.spread_ppm / _PPM)
    return given, spread, given - quote.target_minor - spread


def decimal(rate: Fraction) -> str:
    """Return a rate that ends as a decimal, without zeros at its end."""
    places = 0
    while (rate * 10**places).denominator != 1:
        places += 1
    digits = str(int(rate * 10**places)).rjust(places + 1, "0")
    return digits if places == 0 else f"{digits[:-places]}.{digits[-places:]}"


def client_rate(quote: QuoteState) -> Fraction:
    """Return the rate after the spread."""
    return quote.mid * (_PPM - quote.spread_ppm) / _PPM


@cache
def _per_base() -> Mapping[str, Fraction]:
    document = json.loads(RATES.read_text())
    return {document["base"]: Fraction(1)} | {name: Fraction(rate) for name, rate in document["rates"].items()}


def _between_minor(mid: Fraction, source: str, target: str) -> Fraction:
    return mid * Fraction(10) ** (EXPONENTS[target] - EXPONENTS[source])
