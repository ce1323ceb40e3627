"""Fee rules: which of a tenant's applies, and what it comes to. Amounts are decimal texts of the rule's currency."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

import msgspec

from contracts.money import parse_limit_minor

FeeOperation = Literal["deposit", "withdrawal", "transfer", "payment", "capture", "conversion"]
Bearer = Literal["payer", "payee"]
Banding = Literal["whole", "marginal"]
PAYER: Final = "payer"
PAYEE: Final = "payee"
RULES_MAX: Final = 200
BANDS_MAX: Final = 50
_PPM: Final = 1_000_000
_NOTHING: Final = Fraction(0)
_HALF: Final = Fraction(1, 2)
_BEARERS: Final[Mapping[str, frozenset[str]]] = {"deposit": frozenset({PAYEE}), "withdrawal": frozenset({PAYER})}
"""Who may bear the fee of an operation, where that is not both."""


class Band(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What amounts of *up_to* and less cost, beyond the band before; without *up_to*, all that are larger."""

    up_to: str | None = None
    flat: str | None = None
    rate_ppm: int = 0


class FeeRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What *bearer* pays for an *operation* in *currency*: *flat* and *rate_ppm* of the amount, or by *bands*.

    *banding*: `whole`, the band that the amount is in prices all of it; `marginal`, each band prices what is within it,
    and its flat is paid once the amount reaches into it. The sum is kept between *minimum* and *maximum*. Of several,
    the rule of the payer's *tier* goes before one without tier. It is in force from *valid_from* until before
    *valid_until*.
    """

    id: str
    operation: FeeOperation
    currency: str
    bearer: Bearer
    tier: str | None = None
    flat: str | None = None
    rate_ppm: int = 0
    minimum: str | None = None
    maximum: str | None = None
    bands: tuple[Band, ...] = ()
    banding: Banding = "whole"
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def is_in_force(self, at: datetime) -> bool:
        """Return whether it is in force at that time."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_until is None or at < self.valid_until
        )

    def fee_minor(self, amount_minor: int) -> int:
        """Return the fee for *amount_minor*, in minor units: half a unit counts as one, rounded once, at the end."""
        exact = self._banded(amount_minor) if self.bands else self._priced(self.flat, self.rate_ppm, amount_minor)
        if self.minimum is not None:
            exact = max(exact, Fraction(self._minor(self.minimum)))
        if self.maximum is not None:
            exact = min(exact, Fraction(self._minor(self.maximum)))
        return int((exact + _HALF) // 1)

    def _banded(self, amount_minor: int) -> Fraction:
        total, below_minor = _NOTHING, 0
        for band in self.bands:
            up_to_minor = amount_minor if band.up_to is None else self._minor(band.up_to)
            is_last = amount_minor <= up_to_minor
            if self.banding == "marginal":
                within_minor = min(amount_minor, up_to_minor) - below_minor
                total += self._priced(band.flat, band.rate_ppm, within_minor)
            elif is_last:
                total = self._priced(band.flat, band.rate_ppm, amount_minor)
            if is_last:
                break
            below_minor = up_to_minor
        return total

    def _priced(self, flat: str | None, rate_ppm: int, amount_minor: int) -> Fraction:
        return Fraction(amount_minor * rate_ppm, _PPM) + (0 if flat is None else self._minor(flat))

    def _minor(self, amount: str) -> int:
        return minor_of(amount, self.currency)


@lru_cache(maxsize=10_000)
def minor_of(amount: str, currency: str) -> int:
    """Return a rule's *amount* in minor units; raises MoneyError where it is no amount of *currency*."""
    return parse_limit_minor(amount, currency)


class FeeRules:
    """A policy's fee rules, found by what they are for."""

    def __init__(self, rules: Iterable[FeeRule]) -> None:
        self._by_use: dict[tuple[str, str, str], list[FeeRule]] = {}
        for rule in rules:
            self._by_use.setdefault((rule.operation, rule.currency, rule.bearer), []).append(rule)

    def for_use(self, operation: str, currency: str, bearer: str) -> Sequence[FeeRule]:
        """Return the rules for *bearer* of that operation and currency, of every tier and time."""
        return self._by_use.get((operation, currency, bearer), ())

    def find(self, operation: str, currency: str, bearer: str, *, tier: str, at: datetime) -> FeeRule | None:
        """Return the one rule that applies, None where there is none: the tier's own goes before one without tier."""
        found = None
        for rule in self.for_use(operation, currency, bearer):
            if not rule.is_in_force(at):
                continue
            if rule.tier == tier:
                return rule
            if rule.tier is None:
                found = rule
        return found


def contradictions(rules: Sequence[FeeRule]) -> Iterable[tuple[int, str]]:
    """Yield the index of each rule that cannot be one, and why, as a sentence."""
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            yield index, "Another rule has the id."
        seen.add(rule.id)
        if rule.bearer not in _BEARERS.get(rule.operation, {PAYER, PAYEE}):
            yield index, f"A {rule.operation} has no {rule.bearer}."
        if any(_overlap(rule, before) for before in rules[:index]):
            yield index, "It overlaps with a rule before it: of the same operation, currency, tier and bearer."
        yield from ((index, why) for why in _why_wrong(rule))


def _why_wrong(rule: FeeRule) -> Iterable[str]:
    lowest, highest = rule.minimum, rule.maximum
    if lowest is not None and highest is not None and _of(rule, lowest) > _of(rule, highest):
        yield "Its minimum is above its maximum."
    if rule.valid_from is not None and rule.valid_until is not None and rule.valid_from >= rule.valid_until:
        yield "It ends before it begins."
    if rule.bands and (rule.flat is not None or rule.rate_ppm):
        yield "It has bands, and a price beside them."
    ends = [band.up_to for band in rule.bands]
    if rule.bands and (ends[-1] is not None or None in ends[:-1]):
        yield "Its last band, and no other, has no end."
    bounds = [_of(rule, end) for end in ends if end is not None]
    if any(low >= high for low, high in pairwise(bounds)):
        yield "Its bands do not rise."


def _of(rule: FeeRule, amount: str) -> int:
    return minor_of(amount, rule.currency)


def _overlap(one: FeeRule, other: FeeRule) -> bool:
    return _use(one) == _use(other) and _begins_in_time(one, other) and _begins_in_time(other, one)


def _use(rule: FeeRule) -> tuple[str, str, str | None, str]:
    return rule.operation, rule.currency, rule.tier, rule.bearer


def _begins_in_time(one: FeeRule, other: FeeRule) -> bool:
    """Return whether *one* begins before *other* ends."""
    return one.valid_from is None or other.valid_until is None or one.valid_from < other.valid_until
