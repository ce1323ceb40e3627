"""Prometheus metrics of the projector. The label `rule` is bounded by the rule file."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fraud.domain.judge import Decision
from fraud.domain.rules import RuleSet

_SECONDS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 30)
"""Few: a rule file may have a hundred rules."""


class FraudMetrics:
    """Counts events, decisions and reloads. A poll that is repeated after a failure is counted again."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._folded = Counter("fraud_events_folded_total", "Events folded, by type.", ("type",), registry=registry)
        self._decisions = Counter(
            "fraud_decisions_total",
            "Rules that fired, by what they led to.",
            ("rule", "outcome", "mode"),
            registry=registry,
        )
        self._seconds = Histogram(
            "fraud_decision_seconds",
            "From an event's time to what a rule decided at it.",
            ("rule", "mode"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._rules = Gauge("fraud_rules_info", "The rules in force: 1.", ("version",), registry=registry)
        self._refused = Counter("fraud_rules_reload_failures_total", "Rule files refused.", registry=registry)

    def folded(self, type_name: str, count: int) -> None:
        """Count events of one type."""
        self._folded.labels(type_name).inc(count)

    def decided(self, decision: Decision, seconds: float) -> None:
        """Count a decision, *seconds* after its event, under each of its rules."""
        for reason in decision.reasons:
            self._seconds.labels(reason.rule, reason.mode.value).observe(seconds)
            self._decisions.labels(reason.rule, reason.outcome.value, reason.mode.value).inc()

    def rules_in_force(self, rules: RuleSet) -> None:
        """Set which rules are in force."""
        self._rules.clear()
        self._rules.labels(rules.version).set(1)
        for rule in rules.rules:
            self._decisions.labels(rule.name, rule.outcome.value, rule.mode.value)
            self._seconds.labels(rule.name, rule.mode.value)

    def rules_refused(self) -> None:
        """Count a rule file that was refused."""
        self._refused.inc()
