"""Whole units shared out, by what is said of each payee and by weight."""

from collections.abc import Sequence

from demo.money import to_minor
from demo.operations import Payee

PPM = 1_000_000


def parts_of(amount_minor: int, payees: Sequence[Payee], currency: str) -> list[int]:
    """Return what each of *payees* gets: amounts first, then shares of what they leave, whoever has neither the rest.

    Without anybody who gets the rest, the units that rounding leaves go to the first shares. All of it must go.
    """
    fixed = {i: to_minor(each.amount, currency) for i, each in enumerate(payees) if each.amount is not None}
    left = amount_minor - sum(fixed.values())
    shares = {i: left * each.share_ppm // PPM for i, each in enumerate(payees) if each.share_ppm is not None}
    over = left - sum(shares.values())
    parts = fixed | shares
    without = [i for i in range(len(payees)) if i not in parts]
    if without:
        (rest,) = without
        parts[rest], over = over, 0
    for place in list(shares)[:over]:
        parts[place] += 1
    assert sum(parts.values()) == amount_minor, f"the day pays out all of {amount_minor}: {payees}"
    return [parts[place] for place in range(len(payees))]


def by_weight(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Return *amount_minor* shared out by *weights*, rounded down; the units left over go to the first with room."""
    whole = sum(weights)
    parts = [weight * amount_minor // whole for weight in weights]
    over = amount_minor - sum(parts)
    with_room = [place for place, (part, weight) in enumerate(zip(parts, weights, strict=True)) if part < weight]
    for place in with_room[:over]:
        parts[place] += 1
    return parts
