"""Foreign exchange: what a tenant offers, rates as exact decimals, and what is rounded where, in minor units."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, NamedTuple

import msgspec

from contracts.money import EXPONENTS
from wallet.domain.destinations import PPM

SIGNIFICANT_DIGITS: Final = 12
"""Of a mid rate."""
_CROSS: Final = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_EVEN)
_EXACT: Final = Context(prec=60)


class PairTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pair that may be converted, in this direction. *spread_ppm* is its own, or None for that of all pairs."""

    source_currency: str
    destination_currency: str
    spread_ppm: int | None = None


class FxTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pairs that may be converted, none unless they stand here, and the spread in parts per million of the mid."""

    spread_ppm: int = 0
    pairs: tuple[PairTerms, ...] = ()

    def spread_of(self, source_currency: str, destination_currency: str) -> int | None:
        """Return the pair's spread, None where it is not offered."""
        for pair in self.pairs:
            if (pair.source_currency, pair.destination_currency) == (source_currency, destination_currency):
                return self.spread_ppm if pair.spread_ppm is None else pair.spread_ppm
        return None


class MidRate(msgspec.Struct, frozen=True):
    """What one unit of one currency is in another, without a spread: a decimal of 12 significant digits.

    *source* says whose rate it is, *as_of* of when.
    """

    rate: str
    as_of: datetime
    source: str


class PublishedRate(NamedTuple):
    """How much of a currency one unit of the base is, as of when."""

    rate: Decimal
    as_of: datetime


_BASE: Final = PublishedRate(Decimal(1), datetime.max.replace(tzinfo=UTC))


class RateTable(NamedTuple):
    """The rates of a *source* by currency, all against *base*."""

    source: str
    base: str
    rates: Mapping[str, PublishedRate]

    def mid(self, source_currency: str, destination_currency: str) -> MidRate | None:
        """Return the pair's rate, over the base, or None where either of its currencies has none."""
        divisor, dividend = self._per_base(source_currency), self._per_base(destination_currency)
        if divisor is None or dividend is None:
            return None
        crossed = _CROSS.divide(dividend.rate, divisor.rate)
        as_of = min(divisor.as_of, dividend.as_of)
        return MidRate(decimal_text(crossed), as_of, self.source)

    def _per_base(self, currency: str) -> PublishedRate | None:
        return _BASE if currency == self.base else self.rates.get(currency)


def decimal_text(value: Decimal) -> str:
    """Return *value* in full, without an exponent and without zeros at its end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def client_rate(mid_rate: str, spread_ppm: int) -> str:
    """Return the rate that a client gets: mid · (1 - spread), exactly."""
    kept = Decimal(PPM - spread_ppm).scaleb(-6)
    return decimal_text(_EXACT.multiply(Decimal(mid_rate), kept))


class Exchange(NamedTuple):
    """A pair at a mid rate: one minor unit of the source is *numerator* / *denominator* of the destination's."""

    numerator: int
    denominator: int
    spread_ppm: int

    def destination_minor(self, source_minor: int) -> int:
        """Return what a client gets for *source_minor*, rounded down."""
        return source_minor * self.numerator * (PPM - self.spread_ppm) // (self.denominator * PPM)

    def source_minor(self, destination_minor: int) -> int:
        """Return what a client must give for *destination_minor*, rounded up."""
        return -(-destination_minor * self.denominator * PPM // (self.numerator * (PPM - self.spread_ppm)))

    def mid_minor(self, source_minor: int) -> int:
        """Return *source_minor* at the mid rate, half to even."""
        return half_even(source_minor * self.numerator, self.denominator)

    def spread_minor(self, source_minor: int) -> int:
        """Return the spread on *source_minor*, half to even."""
        return half_even(source_minor * self.numerator * self.spread_ppm, self.denominator * PPM)


def exchange(mid_rate: str, spread_ppm: int, source_currency: str, destination_currency: str) -> Exchange:
    """Return the pair at *mid_rate*, between the minor units of its currencies."""
    numerator, denominator = Decimal(mid_rate).as_integer_ratio()
    shift = EXPONENTS[destination_currency] - EXPONENTS[source_currency]
    return Exchange(numerator * 10 ** max(shift, 0), denominator * 10 ** max(-shift, 0), spread_ppm)


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient of what is not negative, rounded half to even."""
    quotient, left = divmod(numerator, denominator)
    return quotient + (2 * left > denominator or (2 * left == denominator and quotient % 2))
