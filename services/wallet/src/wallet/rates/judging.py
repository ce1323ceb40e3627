"""Which rates of a document are taken over what is known: none that jumped, none that is older. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from wallet.domain.destinations import PPM
from wallet.domain.fx import PublishedRate
from wallet.rates.documents import RateDocument, RatesRefused, Refusal

AHEAD_MAX: Final = timedelta(days=1)
"""How far a document may be ahead of the clock: a date is one of its own time zone."""


class Judged(NamedTuple):
    """The rates that are taken, and the currencies whose rates jumped too far."""

    taken: Mapping[str, Decimal]
    jumped: tuple[str, ...]


def judge(document: RateDocument, known: Mapping[str, PublishedRate], *, now: datetime, jump_ppm: int) -> Judged:
    """Return what is taken of *document*, over the rates *known* of its source against its base.

    A rate may move by *jump_ppm* parts in a million of the one before. Raises RatesRefused where the document is of a
    time to come.
    """
    if document.as_of > now + AHEAD_MAX:
        raise RatesRefused(Refusal.BAD_TIME)
    newer = {
        currency: rate
        for currency, rate in document.rates.items()
        if currency not in known or document.as_of >= known[currency].as_of
    }
    jumped = tuple(
        currency
        for currency, rate in newer.items()
        if currency in known and _jumps(known[currency].rate, rate, jump_ppm)
    )
    return Judged({currency: rate for currency, rate in newer.items() if currency not in jumped}, jumped)


def _jumps(before: Decimal, after: Decimal, jump_ppm: int) -> bool:
    was = Fraction(before)
    return abs(Fraction(after) - was) * PPM > was * jump_ppm
