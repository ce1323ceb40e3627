"""Everything that is rounded, by fractions: fees, parts of a payment, exchange, parts of what is taken back."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final, NamedTuple

from services.wallet.tests.money_model.asked import To
from services.wallet.tests.money_model.things import DECIMALS, Rule

PPM: Final = 10**6


def fee_of(rule: Rule, amount: int) -> int:
    """Return what *rule* comes to for *amount*: half a unit counts as one."""
    exact = _banded(rule, amount) if rule.bands else rule.flat + Fraction(amount * rule.rate_ppm, PPM)
    if rule.minimum is not None:
        exact = max(exact, Fraction(rule.minimum))
    if rule.maximum is not None:
        exact = min(exact, Fraction(rule.maximum))
    return floor(exact + Fraction(1, 2))


def _banded(rule: Rule, amount: int) -> Fraction:
    total, low = Fraction(0), 0
    for band in rule.bands:
        high = amount if band.up_to is None else min(amount, band.up_to)
        if rule.is_marginal and amount > low:
            total += band.flat + Fraction((high - low) * band.rate_ppm, PPM)
        elif not rule.is_marginal and (band.up_to is None or amount <= band.up_to):
            return band.flat + Fraction(amount * band.rate_ppm, PPM)
        low = high
    return total


def parts_of(amount: int, to: Sequence[To]) -> list[int] | str:
    """Return what each gets of *amount*, or the code that says why not."""
    left = amount - sum(each.amount or 0 for each in to)
    shares = [place for place, each in enumerate(to) if each.share is not None]
    rests = [place for place, each in enumerate(to) if each.share is None and each.amount is None]
    shared = sum(Fraction(to[place].share or 0, PPM) for place in shares)
    if left < 0 or len(rests) > 1 or shared > 1:
        return "distribution_mismatch"
    parts = [floor(left * Fraction(each.share, PPM)) if each.share is not None else each.amount or 0 for each in to]
    over = amount - sum(parts)
    if rests:
        parts[rests[0]] += over
    elif over and shared < 1:
        return "distribution_mismatch"
    else:
        for place in shares[:over]:
            parts[place] += 1
    return parts if all(parts) else "share_too_small"


class Exchanged(NamedTuple):
    """What the platform gets at the mid, and keeps of it."""

    at_mid: int
    kept: int


def between(rate: str, source: str, destination: str) -> Fraction:
    """Return how many minor units of the destination one of the source is at the mid *rate*."""
    return Fraction(rate) * Fraction(10) ** (DECIMALS[destination] - DECIMALS[source])


def cost(gets: int, at: Fraction, spread: Fraction) -> int:
    """Return what a client gives for *gets*."""
    return ceil(gets / (at * (1 - spread)))


def worth(gives: int, at: Fraction, spread: Fraction) -> int:
    """Return what a client gets for *gives*."""
    return floor(gives * at * (1 - spread))


def exchanged(gives: int, at: Fraction, spread: Fraction) -> Exchanged:
    """Return the platform's side of it, half to even."""
    return Exchanged(round(gives * at), round(gives * at * spread))


def shares_of(amount: int, rests: Mapping[int, int]) -> dict[int, int]:
    """Return what *amount* takes of each of *rests*: the units left over come from the first that have more."""
    total = sum(rests.values())
    shares = {place: floor(Fraction(rest * amount, total)) for place, rest in rests.items()}
    over = amount - sum(shares.values())
    for place, rest in rests.items():
        if over and shares[place] < rest:
            shares[place], over = shares[place] + 1, over - 1
    return shares


def towards_nothing(rest: int, part: Fraction) -> int:
    """Return what goes back of an entry of which *rest* is left."""
    back = floor(abs(rest) * part)
    return -back if rest > 0 else back
