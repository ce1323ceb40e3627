"""Writes what is declared as rule files of Prometheus."""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from engines import checkout
from observability.alerts import ALERT_GROUPS
from observability.declaring import Alert, Recording, Rule, RuleGroup, Threshold
from observability.durations import divided, in_expression
from observability.recording import RECORDING_GROUPS

RULES: Final = checkout.ROOT / "deploy" / "observability" / "prometheus" / "rules"
"""Where the repository has them."""
RUNBOOKS: Final = "docs/runbooks"
_HEAD: Final = "# Made by `make docs` of what the package observability declares: not to be changed by hand.\n"


def rule_files(divisor: int = 1) -> dict[str, str]:
    """Return the text of each rule file by its name; every window, interval and `for` is divided by *divisor*."""
    files = {f"recording-{name}": groups for name, groups in RECORDING_GROUPS.items()} | {
        f"alerts-{name}": (RuleGroup(name=name, rules=alerts),) for name, alerts in ALERT_GROUPS.items()
    }
    return {f"{name}.yml": _written([_group(group, divisor) for group in groups]) for name, groups in files.items()}


def _written(groups: list[dict[str, Any]]) -> str:
    return _HEAD + yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=1_000, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _group(group: RuleGroup, divisor: int) -> dict[str, Any]:
    interval = {} if group.interval is None else {"interval": divided(group.interval, divisor)}
    rules = [made for rule in group.rules for made in _rules(rule, divisor)]
    return {"name": group.name, **interval, "rules": rules}


def _rules(rule: Rule, divisor: int) -> list[Mapping[str, Any]]:
    match rule:
        case Recording():
            labels = {"labels": rule.labels} if rule.labels else {}
            return [{"record": rule.record, "expr": in_expression(rule.expr, divisor), **labels}]
        case Alert():
            return [_alert(rule, threshold, divisor) for threshold in rule.thresholds]


def _alert(alert: Alert, threshold: Threshold, divisor: int) -> dict[str, Any]:
    kept = {} if threshold.keep_for == "0s" else {"keep_firing_for": divided(threshold.keep_for, divisor)}
    return {
        "alert": alert.name,
        "expr": in_expression(threshold.expr, divisor),
        "for": divided(threshold.for_, divisor),
        **kept,
        "labels": {"severity": threshold.severity.value, **threshold.labels},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{RUNBOOKS}/{alert.name}.md",
        },
    }
