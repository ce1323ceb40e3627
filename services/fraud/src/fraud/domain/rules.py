"""The rules a wallet's debits are judged by. Durations are microseconds, amounts minor units by currency."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from contracts.decisions import DecisionMode, DecisionOutcome
from fraud.domain.wallet_events import Kind


class RulesRefused(Exception):
    """The rule file is not valid. The message has a line per error: `file:line: where: what`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What every rule has. After it fired it does not fire again for *cool_down_us* of the wallet's time."""

    name: str
    kinds: frozenset[Kind]
    outcome: DecisionOutcome
    mode: DecisionMode
    cool_down_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VelocityCount(Rule):
    """Fires at a debit that is more than the *count_max*-th of its window."""

    window_us: int
    count_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VelocitySum(Rule):
    """Fires at a debit with which the window's debits are more than *sum_minor_max*.

    Currencies without a maximum are not judged.
    """

    window_us: int
    sum_minor_max: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountRule(Rule):
    """What rules of one amount against the wallet's own past have.

    They need *history_min* debits of their kinds before, and an amount of at least *amount_minor_min*;
    currencies without a minimum are not judged. *factor_max* is the highest factor at which the rule does not fire.
    """

    history_min: int
    amount_minor_min: Mapping[str, int]
    factor_max: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountRatio(AmountRule):
    """Fires at an amount of more than *factor_max* times the mean of the past."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountZ(AmountRule):
    """Fires at an amount more than *factor_max* standard deviations above the mean of the past.

    It never fires on a past without any deviation.
    """


AnyRule = VelocityCount | VelocitySum | AmountRatio | AmountZ


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """The rules in force together. *version* changes with all that changes decisions; *text* is the file's."""

    version: str
    content_hash: str
    text: str
    time_compression: int
    is_shadow: bool
    rules: tuple[AnyRule, ...]


def compressed(rule: AnyRule, time_compression: int) -> AnyRule:
    """Return *rule* with every duration divided by *time_compression*."""
    rule = replace(rule, cool_down_us=rule.cool_down_us // time_compression)
    if isinstance(rule, VelocityCount | VelocitySum):
        return replace(rule, window_us=max(1, rule.window_us // time_compression))
    return rule


def in_shadow(rule: AnyRule) -> AnyRule:
    """Return *rule* in shadow mode."""
    return replace(rule, mode=DecisionMode.SHADOW)
