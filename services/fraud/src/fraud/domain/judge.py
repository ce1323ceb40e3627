"""Judging a debit by the rules, and what is decided where some of them fire. Integers and fractions only."""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import Final, assert_never
from uuid import UUID, uuid5

from contracts.decisions import DecisionMode, DecisionOutcome
from contracts.money import format_minor
from fraud.domain.debit_stats import since
from fraud.domain.profile import Profile, fold
from fraud.domain.rules import AmountRatio, AmountRule, AmountZ, AnyRule, RuleSet, VelocityCount, VelocitySum
from fraud.domain.wallet_events import Debited, WalletEvent

DECISIONS: Final = UUID("5d0f2b54-2c3b-5b6e-9a0e-6f2f3c7b8d11")
"""The namespace of decisions' ids. It never changes: a rebuild makes the same ids."""

_SEVERITY: Final = tuple(DecisionOutcome)
_US_PER_S: Final = 1_000_000
_HUNDREDTHS: Final = 100
_MEASURES: Final = {AmountRatio: "times the mean", AmountZ: "standard deviations above the mean"}


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that fired: what it measured, and the threshold that is below it, as decimal strings."""

    rule: str
    outcome: DecisionOutcome
    mode: DecisionMode
    measure: str
    value: str
    threshold: str
    cool_down_until_us: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The rules that fired at a debit; empty if none did."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a wallet at one event, and why. A shadow decision is never acted on."""

    decision_id: UUID
    outcome: DecisionOutcome
    mode: DecisionMode
    rules_version: str
    owner_id: str
    trigger: WalletEvent
    reasons: tuple[Reason, ...]


NO_OBJECTION: Final = Judgement(())


def step(profile: Profile | None, event: WalletEvent, rules: RuleSet) -> tuple[Profile, Decision | None]:
    """Return the wallet's profile after *event* and what *rules* decide at it; raises Contradiction."""
    after = fold(profile, event)
    if profile is None or not isinstance(event.payload, Debited):
        return after, None
    judgement = judge(profile, event, rules)
    if not judgement.reasons:
        return after, None
    return cooled_down(after, judgement), decide(profile, event, judgement, rules.version)


def judge(profile: Profile, event: WalletEvent, rules: RuleSet) -> Judgement:
    """Return which of *rules* fire at *event*; *profile* is the wallet's before the event."""
    debit = event.payload
    if not isinstance(debit, Debited):
        return NO_OBJECTION
    at_us = max(event.at_us, profile.last_at_us)
    reasons: list[Reason] = []
    for rule in rules.rules:
        if debit.kind not in rule.kinds or profile.cool_downs.get(rule.name, 0) > at_us:
            continue
        reason = _evaluate(rule, profile, debit.amount_minor, at_us)
        if reason is not None:
            reasons.append(reason)
    return Judgement(tuple(reasons)) if reasons else NO_OBJECTION


def cooled_down(profile: Profile, judgement: Judgement) -> Profile:
    """Return *profile* with a cool-down begun for each rule that fired; those that are over are dropped."""
    cool_downs = {rule: until_us for rule, until_us in profile.cool_downs.items() if until_us > profile.last_at_us}
    cool_downs |= {reason.rule: reason.cool_down_until_us for reason in judgement.reasons}
    return profile.with_cool_downs(cool_downs)


def decide(profile: Profile, event: WalletEvent, judgement: Judgement, rules_version: str) -> Decision:
    """Return the one decision that *judgement*'s reasons make.

    The strictest outcome counts, of live reasons where there are any: rules in shadow never make a decision stricter.
    """
    live = [reason for reason in judgement.reasons if reason.mode is DecisionMode.LIVE]
    outcome = max((reason.outcome for reason in live or judgement.reasons), key=_SEVERITY.index)
    return Decision(
        decision_id=decision_id_of(rules_version, event.wallet_id, event.envelope.event_id),
        outcome=outcome,
        mode=DecisionMode.LIVE if live else DecisionMode.SHADOW,
        rules_version=rules_version,
        owner_id=profile.owner_id,
        trigger=event,
        reasons=judgement.reasons,
    )


def unless_stale(decision: Decision, *, not_before_us: int) -> Decision:
    """Return *decision*, in shadow where its event is from before *not_before_us*: the wallet has gone on since."""
    if decision.mode is DecisionMode.SHADOW or decision.trigger.at_us >= not_before_us:
        return decision
    reasons = tuple(replace(reason, mode=DecisionMode.SHADOW) for reason in decision.reasons)
    return replace(decision, mode=DecisionMode.SHADOW, reasons=reasons)


def decision_id_of(rules_version: str, wallet_id: UUID, event_id: UUID) -> UUID:
    """Return the id of the decision at the event: the same one at every evaluation."""
    return uuid5(DECISIONS, f"{rules_version}|{wallet_id}|{event_id}")


def _evaluate(rule: AnyRule, profile: Profile, amount_minor: int, at_us: int) -> Reason | None:
    match rule:
        case VelocityCount():
            count = 1 + _in_window(profile, rule, at_us)[0]
            if count <= rule.count_max:
                return None
            return _reason(rule, at_us, f"debits in {seconds(rule.window_us)} s", str(count), str(rule.count_max))
        case VelocitySum():
            return _evaluate_sum(rule, profile, amount_minor, at_us)
        case AmountRatio() | AmountZ():
            return _evaluate_amount(rule, profile, amount_minor, at_us)
        case _:
            assert_never(rule)


def _evaluate_sum(rule: VelocitySum, profile: Profile, amount_minor: int, at_us: int) -> Reason | None:
    threshold_minor = rule.sum_minor_max.get(profile.currency)
    if threshold_minor is None:
        return None
    sum_minor = amount_minor + _in_window(profile, rule, at_us)[1]
    if sum_minor <= threshold_minor:
        return None
    measure = f"{profile.currency} debited in {seconds(rule.window_us)} s"
    value, threshold = format_minor(sum_minor, profile.currency), format_minor(threshold_minor, profile.currency)
    return _reason(rule, at_us, measure, value, threshold)


def _in_window(profile: Profile, rule: VelocityCount | VelocitySum, at_us: int) -> tuple[int, int]:
    """Return the count and sum of the profile's debits in the window that ends now."""
    count = sum_minor = 0
    for kind in rule.kinds:
        stats = profile.debits.get(kind)
        if stats is not None:
            of_kind = since(stats, at_us - rule.window_us)
            count += of_kind[0]
            sum_minor += of_kind[1]
    return count, sum_minor


def _evaluate_amount(rule: AmountRatio | AmountZ, profile: Profile, amount_minor: int, at_us: int) -> Reason | None:
    minimum_minor = rule.amount_minor_min.get(profile.currency)
    if minimum_minor is None or amount_minor < minimum_minor:
        return None
    count, sum_minor, sum_of_squares = _past(profile, rule)
    if count < rule.history_min:
        return None
    squared = _factor_squared(rule, amount_minor, count, sum_minor, sum_of_squares)
    if squared is None or squared[0] * rule.factor_max.denominator**2 <= rule.factor_max.numerator**2 * squared[1]:
        return None
    measure = f"{_MEASURES[type(rule)]} of {count} debits"
    return _reason(rule, at_us, measure, _root(*squared), decimal(rule.factor_max))


def _past(profile: Profile, rule: AmountRule) -> tuple[int, int, int]:
    debits = [profile.stats(kind) for kind in rule.kinds]
    return (
        sum(stats.count for stats in debits),
        sum(stats.sum_minor for stats in debits),
        sum(stats.sum_of_squares for stats in debits),
    )


def _factor_squared(
    rule: AmountRatio | AmountZ, amount_minor: int, count: int, sum_minor: int, sum_of_squares: int
) -> tuple[int, int] | None:
    """Return the square of how far the amount is off, as numerator and denominator.

    Returns None if the past has no deviation, or the amount is not above its mean.

    With n debits of sum s and sum of squares q: mean = s / n, variance = (n q - s²) / n².
    """
    if isinstance(rule, AmountRatio):
        return (amount_minor * count) ** 2, sum_minor**2
    above, variance = amount_minor * count - sum_minor, count * sum_of_squares - sum_minor * sum_minor
    return None if above <= 0 or variance == 0 else (above * above, variance)


def _reason(rule: AnyRule, at_us: int, measure: str, value: str, threshold: str) -> Reason:
    return Reason(rule.name, rule.outcome, rule.mode, measure, value, threshold, at_us + rule.cool_down_us)


def _root(numerator: int, denominator: int) -> str:
    """Return the square root of the quotient with two decimals, rounded down."""
    return decimal(Fraction(isqrt(numerator * _HUNDREDTHS**2 // denominator), _HUNDREDTHS))


def decimal(value: Fraction) -> str:
    """Return *value*, which is not negative, as a decimal string; what is beyond two decimals is cut off."""
    whole, hundredths = divmod(value.numerator * _HUNDREDTHS // value.denominator, _HUNDREDTHS)
    return f"{whole}.{hundredths:02d}".rstrip("0").removesuffix(".")


def seconds(duration_us: int) -> str:
    """Return a duration in seconds as a decimal string."""
    whole, rest_us = divmod(duration_us, _US_PER_S)
    return f"{whole}.{rest_us:06d}".rstrip("0").removesuffix(".")
