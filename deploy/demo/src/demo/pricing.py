"""What a fee comes to, by fractions of a minor unit."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Any

from demo.money import from_text
from demo.states import ChargedFee, WalletState

Rule = Mapping[str, Any]
PPM = 1_000_000


def fee_of(rule: Rule, amount_minor: int) -> int:
    """Return what *rule* takes of an amount: half a minor unit counts as one."""
    price = _by_bands(rule, amount_minor) if "bands" in rule else _by(rule, rule, amount_minor)
    if "minimum" in rule:
        price = max(price, Fraction(from_text(rule["minimum"], rule["currency"])))
    if "maximum" in rule:
        price = min(price, Fraction(from_text(rule["maximum"], rule["currency"])))
    return floor(price + Fraction(1, 2))


def rule_for(rules: Sequence[Rule], use: tuple[str, str], currency: str, tier: str | None) -> Rule | None:
    """Return the rule for *use*, an operation and who bears the fee: the tier's own, or else the one for everybody."""
    fitting = [rule for rule in rules if (rule["operation"], rule["bearer"], rule["currency"]) == (*use, currency)]
    own = [rule for rule in fitting if rule.get("tier") == tier]
    return next(iter(own), None) or next((rule for rule in fitting if "tier" not in rule), None)


def charged(rule: Rule | None, wallet: WalletState, amount_minor: int) -> ChargedFee | None:
    """Return what *wallet* is charged by *rule*, None where that is nothing."""
    minor = 0 if rule is None else fee_of(rule, amount_minor)
    return None if rule is None or minor == 0 else ChargedFee(wallet.name, rule["id"], minor)


def _by(priced: Rule, rule: Rule, amount_minor: int) -> Fraction:
    flat = from_text(priced["flat"], rule["currency"]) if "flat" in priced else 0
    return Fraction(flat) + Fraction(amount_minor) * int(priced.get("rate_ppm", 0)) / PPM


def _by_bands(rule: Rule, amount_minor: int) -> Fraction:
    """Price all of it by the band that it is in, or, marginal, what is within each band by that one."""
    bounds = [from_text(band["up_to"], rule["currency"]) if "up_to" in band else amount_minor for band in rule["bands"]]
    reached = next(number for number, bound in enumerate(bounds) if amount_minor <= bound)
    if rule.get("banding") != "marginal":
        return _by(rule["bands"][reached], rule, amount_minor)
    below = [0, *bounds]
    pieces = [min(amount_minor, bounds[number]) - below[number] for number in range(reached + 1)]
    prices = (_by(band, rule, piece) for band, piece in zip(rule["bands"], pieces, strict=False))
    return sum(prices, Fraction(0))
