"""Each alert fires when it should and clears when that is over; none fires in calm."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from deploy.observability.tests.calm import CALM_SERIES, CALM_STEPS
from deploy.observability.tests.scenarios import Scenario, a_file
from deploy.observability.tests.scenarios_of_clients import BUDGETS, LEDGER
from deploy.observability.tests.scenarios_of_engines import ENGINES
from deploy.observability.tests.scenarios_of_events import FOLLOWING, PIPELINE
from deploy.observability.tests.scenarios_of_processes import OF_TARGETS, PROCESSES, TARGETS

from engines import debian
from observability.alerts import ALERT_GROUPS, ALERTS
from observability.declaring import Severity
from observability.rules import rule_files

SCENARIOS: Final = {
    "budgets": BUDGETS,
    "targets": OF_TARGETS,
    "processes": PROCESSES,
    "ledger": LEDGER,
    "pipeline": PIPELINE,
    "following": FOLLOWING,
    "engines": ENGINES,
}
ALWAYS: Final = "DeadMansSwitch"
RECORDED: Final = {"budgets": "objectives", "pipeline": "figures"}
"""The recording rules that the alerts of a group stand on."""
STEP_S: Final = 15


@pytest.fixture(scope="module")
def promtool() -> str:
    """Return promtool."""
    return debian.find_program("promtool", "prometheus")


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the rule files to a folder."""
    folder = tmp_path_factory.mktemp("rules")
    for name, text in rule_files().items():
        (folder / name).write_text(text)
    return folder


def passes(promtool: str, file: Path, told: dict[str, Any]) -> None:
    """Have promtool run the tests *told*."""
    file.write_text(yaml.safe_dump(told))
    ran = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=100
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def files_of(group: str, rules: Path) -> list[Path]:
    """Return the rule files that the alerts of *group* need."""
    recorded = [f"recording-{RECORDED[group]}"] if group in RECORDED else []
    return [rules / f"{name}.yml" for name in (f"alerts-{group}", *recorded)]


@pytest.mark.parametrize("group", SCENARIOS)
def test_alerts_fire_and_clear(group: str, promtool: str, rules: Path, tmp_path: Path) -> None:
    by_step: dict[int, list[Scenario]] = {}
    for scenario in SCENARIOS[group]:
        by_step.setdefault(scenario.phases.step_s, []).append(scenario)

    for step_s, scenarios in by_step.items():
        tests = [scenario.as_promtool() for scenario in scenarios]
        passes(promtool, tmp_path / f"{step_s}.yml", a_file(files_of(group, rules), tests, step_s=step_s))


@pytest.mark.parametrize("group", SCENARIOS)
def test_every_threshold_has_a_scenario(group: str) -> None:
    declared = {(alert.name, each.severity.value) for alert in ALERT_GROUPS[group] for each in alert.thresholds}

    played = {(scenario.alert, scenario.labels["severity"]) for scenario in SCENARIOS[group]}

    # A budget of latency is recorded and burnt as one of errors is, so that its other windows are played there.
    assert declared - played <= {(ALWAYS, "page"), ("LatencyBudgetBurn", Severity.TICKET.value)}
    assert played <= declared


def silent_but(alert: str, series: Sequence[tuple[str, str]], *, until_s: int) -> dict[str, Any]:
    """Return the test that nothing but *alert* fires or is about to, while *series* are as they are."""
    return {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": selector, "values": values} for selector, values in series],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname) (ALERTS{{alertname!="{alert}"}})',
                "eval_time": f"{until_s}s",
                "exp_samples": [],
            },
            {
                "expr": f'count by (alertname) (ALERTS{{alertname="{alert}"}})',
                "eval_time": f"{until_s}s",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}],
            },
        ],
    }


def test_all_are_silent_in_calm_and_where_nothing_has_happened_yet(promtool: str, rules: Path, tmp_path: Path) -> None:
    until_s = CALM_STEPS * STEP_S - 5
    started = [(selector, f"1+0x{CALM_STEPS}") for selector in TARGETS]
    tests = [silent_but(ALWAYS, series, until_s=until_s) for series in (CALM_SERIES, started)]

    passes(promtool, tmp_path / "calm.yml", a_file(sorted(rules.iterdir()), tests, step_s=STEP_S))


def test_the_calm_system_shows_what_alerts_look_at() -> None:
    from observability.promql import metric_names

    shown = {selector.partition("{")[0] for selector, _ in CALM_SERIES}
    read = {name for alert in ALERTS for each in alert.thresholds for name in metric_names(each.expr)}

    assert sorted(name for name in read - shown if ":" not in name) == []
