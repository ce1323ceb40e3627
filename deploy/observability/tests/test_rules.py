"""The rule files are what is declared, Prometheus loads them, and they read metrics that there are."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml
from deploy.observability.tests import known_metrics
from deploy.observability.tests.scenarios_of_clients import BUDGETS, LEDGER
from deploy.observability.tests.scenarios_of_engines import ENGINES
from deploy.observability.tests.scenarios_of_events import FOLLOWING, PIPELINE
from deploy.observability.tests.scenarios_of_processes import OF_TARGETS, PROCESSES
from typer.testing import CliRunner

from engines import debian
from observability import durations
from observability.__main__ import app
from observability.alerts import ALERTS
from observability.declaring import Alert
from observability.promql import family_of, metric_names
from observability.reading import expressions, read_by
from observability.recording import MONEY_COMMANDS
from observability.rules import RULES, rule_files
from wallet.bootstrap.catalog import CATALOG

EXPRESSIONS: Final = list(expressions())
SCENARIOS: Final = (*BUDGETS, *OF_TARGETS, *PROCESSES, *LEDGER, *PIPELINE, *FOLLOWING, *ENGINES)


def test_the_files_are_what_is_declared() -> None:
    written = {file.name: file.read_text() for file in RULES.glob("*.yml")}

    assert written == rule_files(), "run `make docs`"


@pytest.mark.parametrize("divisor", [1, 30, 3_600])
def test_prometheus_loads_them_divided_or_not(divisor: int, tmp_path: Path) -> None:
    promtool = debian.find_program("promtool", "prometheus")
    for name, text in rule_files(divisor).items():
        (tmp_path / name).write_text(text)

    ran = subprocess.run(
        [promtool, "check", "rules", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_command_writes_rules_that_are_divided(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["rules", "--divide", "30", "--out", str(tmp_path / "rules")])

    assert ran.exit_code == 0, ran.output
    assert {file.name: file.read_text() for file in (tmp_path / "rules").iterdir()} == rule_files(30)


def test_the_repository_s_rules_are_never_divided() -> None:
    before = {file.name: file.read_text() for file in RULES.glob("*.yml")}

    ran = CliRunner().invoke(app, ["rules", "--divide", "30"])

    assert ran.exit_code == 1
    assert "--out" in ran.output
    assert {file.name: file.read_text() for file in RULES.glob("*.yml")} == before


@pytest.mark.parametrize(
    ("text", "divisor", "expected"),
    [
        ("rate(x[5m]) / rate(x[3d])", 30, "rate(x[20s]) / rate(x[144m])"),
        ("rate(x[30m])", 30, "rate(x[1m])"),
        ("time() - y > $seconds(15m)", 1, "time() - y > 900"),
        ("time() - y > $seconds(15m)", 30, "time() - y > 30"),
        ('x{route!="/v1/[5m]x"}[1h]', 1, 'x{route!="/v1/[5m]x"}[1h]'),
    ],
)
def test_windows_and_ages_are_divided(text: str, divisor: int, expected: str) -> None:
    assert durations.in_expression(text, divisor) == expected


@pytest.mark.parametrize(
    ("text", "divisor", "expected"), [("0s", 30, "0s"), ("30s", 30, "1s"), ("10s", 30, "1s"), ("2m", 30, "4s")]
)
def test_what_must_last_is_divided_and_never_becomes_nothing(text: str, divisor: int, expected: str) -> None:
    assert durations.divided(text, divisor) == expected


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (a, b) (rate(x_total{le="y_total",m=~"z[0-9]{2}"}[5m])) / on (c) group_left (d) e', {"x_total", "e"}),
        ("max(a_seconds) without (b) > 1e9 and not_c offset 5m unless d:e:f", {"a_seconds", "not_c", "d:e:f"}),
        ('label_replace(time() - max(a), "x", "$1", "y", "(.*) or b")', {"a"}),
        ("sum(a) by (b) or vector(0) > bool 3", {"a"}),
        ("count by (x) (up == 0) * Inf", {"up"}),
    ],
)
def test_names_are_read_from_expressions(expression: str, names: set[str]) -> None:
    assert metric_names(expression) == names


def unknown_in(expressions: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return which rules read a metric that nobody shows and no rule records."""
    recorded = {rule for rule, _ in EXPRESSIONS if ":" in rule}
    known = known_metrics.known() | recorded
    return [
        (rule, name)
        for rule, expression in expressions
        for name in sorted(metric_names(expression))
        if name not in known and family_of(name) not in known_metrics.histograms()
    ]


def test_every_rule_reads_metrics_that_there_are() -> None:
    assert unknown_in(EXPRESSIONS) == []


def test_a_rule_with_a_metric_that_does_not_exist_is_found() -> None:
    planted = [("Planted", "rate(relay_lag_minutes[5m]) > 1 and relay_lag_seconds_bucket > 1")]

    assert unknown_in(planted) == [("Planted", "relay_lag_minutes"), ("Planted", "relay_lag_seconds_bucket")]


def test_who_reads_a_metric_is_known() -> None:
    assert read_by("relay_lag_seconds") == ("RelayLag", "pipeline")
    assert read_by("wallet_queue_age_seconds") == ("QueueOld", "wallet")
    assert "service:slo_bad:rate5m" in read_by("http_request_duration_seconds")
    assert read_by("relay_lag_minutes") == ()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_only_what_its_labels_tell(alert: Alert) -> None:
    played = [set(scenario.labels) for scenario in SCENARIOS if scenario.alert == alert.name]

    named = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))

    assert named <= set().union(*played)
    assert "\n" not in alert.summary + alert.description


def test_alerts_have_names_of_their_own() -> None:
    names = [alert.name for alert in ALERTS]

    assert sorted(set(names)) == sorted(names)


def test_transactions_are_the_commands_that_move_money() -> None:
    moving = {each.command.kind for each in CATALOG.slices if each.command.moves_money}

    assert moving | {"batch"} == set(MONEY_COMMANDS)


def test_every_file_says_where_it_comes_from() -> None:
    for text in rule_files().values():
        assert text.startswith("# Made by `make docs`")
        assert yaml.safe_load(text)["groups"]
