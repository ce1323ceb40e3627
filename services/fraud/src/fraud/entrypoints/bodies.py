"""What a client is answered."""

from collections.abc import Mapping
from math import isqrt
from typing import Final

from pydantic import BaseModel

from contracts.decisions import DecisionMode, DecisionOutcome
from contracts.envelope import rfc3339
from fraud.domain.debit_stats import since
from fraud.domain.judge import decimal, seconds
from fraud.domain.profile import Profile
from fraud.domain.rules import AmountRatio, AmountRule, AmountZ, AnyRule, RuleSet, VelocityCount, VelocitySum
from fraud.domain.wallet_events import Kind, from_us
from fraud.projection.stored import StoredDecision
from fraud.reads.queries import Rules, WalletRisk
from servicekit.http.routes.money import MoneyBody

_TYPES: Final[dict[type[AnyRule], str]] = {
    VelocityCount: "velocity_count",
    VelocitySum: "velocity_sum",
    AmountRatio: "amount_ratio",
    AmountZ: "amount_z",
}


class VelocityBody(BaseModel):
    """The debits of these kinds in the window that ends with the wallet's last event. *window_s* is a decimal."""

    window_s: str
    events: list[Kind]
    count: int
    sum: MoneyBody


class PastBody(BaseModel):
    """All debits of one kind so far; mean and deviation are cut off to the currency's decimals."""

    events: Kind
    count: int
    sum: MoneyBody
    mean: MoneyBody | None
    standard_deviation: MoneyBody | None


class RestrictionBody(BaseModel):
    """Who restricts the wallet, and how far."""

    source: str
    scope: str


class QuietBody(BaseModel):
    """A rule that fired and does so again only after *until*."""

    rule: str
    until: str


class ReasonBody(BaseModel):
    """A rule that fired: what it measured, and the threshold that is below it."""

    rule: str
    outcome: DecisionOutcome
    mode: DecisionMode
    measure: str
    value: str
    threshold: str


class TriggerBody(BaseModel):
    """The event at which it was decided."""

    event_id: str
    shard: int
    sequence: int


class DecisionBody(BaseModel):
    """A decision and its reasons; those whose mode is another than its own did not count."""

    id: str
    wallet_id: str
    owner_id: str
    wallet_version: int
    outcome: DecisionOutcome
    mode: DecisionMode
    rules_version: str
    trigger: TriggerBody
    reasons: list[ReasonBody]
    decided_at: str


class DecisionsBody(BaseModel):
    """A page of decisions, newest first."""

    data: list[DecisionBody]
    next_cursor: str | None


class WalletRiskBody(BaseModel):
    """A wallet's profile as of its last event, and what was decided last, newest first."""

    wallet_id: str
    owner_id: str
    currency: str
    version: int
    as_of: str
    restrictions: list[RestrictionBody]
    velocity: list[VelocityBody]
    past: list[PastBody]
    quiet: list[QuietBody]
    rules_version: str | None
    decisions: list[DecisionBody]


class RuleBody(BaseModel):
    """A rule in force; what its type does not have is null. Durations are those in force, in seconds, decimal."""

    name: str
    type: str
    events: list[Kind]
    outcome: DecisionOutcome
    mode: DecisionMode
    cool_down_s: str
    window_s: str | None
    max_count: int | None
    max_amount: list[MoneyBody] | None
    min_history: int | None
    min_amount: list[MoneyBody] | None
    max_ratio: str | None
    max_z: str | None


class InForceBody(BaseModel):
    """The rules that the projector judges by; *text* is their file."""

    version: str
    content_hash: str
    loaded_at: str
    time_compression: int
    shadow: bool
    rules: list[RuleBody]
    text: str


class RefusalBody(BaseModel):
    """The last file that was refused since the rules in force were loaded: an error per line of it."""

    refused_at: str
    errors: list[str]


class RulesBody(BaseModel):
    """What is in force, null before any projector has run, and what was refused since."""

    in_force: InForceBody | None
    last_refusal: RefusalBody | None


def wallet_risk_body(found: WalletRisk) -> WalletRiskBody:
    """Return *found* as a client sees it."""
    profile = found.profile
    return WalletRiskBody(
        wallet_id=str(profile.wallet_id),
        owner_id=profile.owner_id,
        currency=profile.currency,
        version=profile.version,
        as_of=_instant(profile.last_at_us),
        restrictions=[RestrictionBody(source=each.source, scope=each.scope) for each in profile.restrictions],
        velocity=[] if found.rules is None else _velocity(profile, found.rules.in_force),
        past=[_past(profile, kind) for kind in Kind],
        quiet=[
            QuietBody(rule=rule, until=_instant(until_us))
            for rule, until_us in sorted(profile.cool_downs.items())
            if until_us > profile.last_at_us
        ],
        rules_version=None if found.rules is None else found.rules.stored.version,
        decisions=[decision_body(decision) for decision in found.decisions],
    )


def decision_body(row: StoredDecision) -> DecisionBody:
    """Return *row* as a client sees it."""
    return DecisionBody(
        id=str(row.decision_id),
        wallet_id=str(row.wallet_id),
        owner_id=row.owner_id,
        wallet_version=row.wallet_version,
        outcome=DecisionOutcome(row.outcome),
        mode=DecisionMode(row.mode),
        rules_version=row.rules_version,
        trigger=TriggerBody(event_id=str(row.trigger_event_id), shard=row.trigger_shard, sequence=row.trigger_seq),
        reasons=[
            ReasonBody(
                rule=each.rule,
                outcome=each.outcome,
                mode=each.mode,
                measure=each.measure,
                value=each.value,
                threshold=each.threshold,
            )
            for each in row.reasons
        ],
        decided_at=rfc3339(row.decided_at),
    )


def rules_body(found: Rules | None) -> RulesBody:
    """Return *found* as a client sees it."""
    if found is None:
        return RulesBody(in_force=None, last_refusal=None)
    stored, refusal = found.stored, None
    if stored.refused_at is not None and stored.refusal is not None:
        refusal = RefusalBody(refused_at=rfc3339(stored.refused_at), errors=stored.refusal.splitlines())
    in_force = InForceBody(
        version=stored.version,
        content_hash=stored.content_hash,
        loaded_at=rfc3339(stored.loaded_at),
        time_compression=stored.time_compression,
        shadow=stored.is_shadow,
        rules=[_rule(rule) for rule in found.in_force.rules],
        text=stored.text,
    )
    return RulesBody(in_force=in_force, last_refusal=refusal)


def _velocity(profile: Profile, rules: RuleSet) -> list[VelocityBody]:
    """Return the velocity in every window that a rule in force looks into, the shortest first."""
    windows = {
        (rule.window_us, tuple(sorted(rule.kinds)))
        for rule in rules.rules
        if isinstance(rule, VelocityCount | VelocitySum)
    }
    bodies = []
    for window_us, kinds in sorted(windows):
        of_kinds = [since(profile.stats(kind), profile.last_at_us - window_us) for kind in kinds]
        bodies.append(
            VelocityBody(
                window_s=seconds(window_us),
                events=list(kinds),
                count=sum(count for count, _ in of_kinds),
                sum=MoneyBody.of(sum(sum_minor for _, sum_minor in of_kinds), profile.currency),
            )
        )
    return bodies


def _past(profile: Profile, kind: Kind) -> PastBody:
    stats, mean, deviation = profile.stats(kind), None, None
    if stats.count:
        variance = stats.count * stats.sum_of_squares - stats.sum_minor**2
        mean = MoneyBody.of(stats.sum_minor // stats.count, profile.currency)
        deviation = MoneyBody.of(isqrt(variance) // stats.count, profile.currency)
    return PastBody(
        events=kind,
        count=stats.count,
        sum=MoneyBody.of(stats.sum_minor, profile.currency),
        mean=mean,
        standard_deviation=deviation,
    )


def _rule(rule: AnyRule) -> RuleBody:
    return RuleBody(
        name=rule.name,
        type=_TYPES[type(rule)],
        events=sorted(rule.kinds),
        outcome=rule.outcome,
        mode=rule.mode,
        cool_down_s=seconds(rule.cool_down_us),
        window_s=seconds(rule.window_us) if isinstance(rule, VelocityCount | VelocitySum) else None,
        max_count=rule.count_max if isinstance(rule, VelocityCount) else None,
        max_amount=_amounts(rule.sum_minor_max) if isinstance(rule, VelocitySum) else None,
        min_history=rule.history_min if isinstance(rule, AmountRule) else None,
        min_amount=_amounts(rule.amount_minor_min) if isinstance(rule, AmountRule) else None,
        max_ratio=decimal(rule.factor_max) if isinstance(rule, AmountRatio) else None,
        max_z=decimal(rule.factor_max) if isinstance(rule, AmountZ) else None,
    )


def _amounts(by_currency: Mapping[str, int]) -> list[MoneyBody]:
    return [MoneyBody.of(amount_minor, currency) for currency, amount_minor in sorted(by_currency.items())]


def _instant(instant_us: int) -> str:
    return rfc3339(from_us(instant_us))
