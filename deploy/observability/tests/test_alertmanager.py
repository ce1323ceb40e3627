"""Alertmanager loads its configuration, every alert finds its receiver, and what is silenced is an alert."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
import yaml
from typer.testing import CliRunner

from engines import debian
from observability import alertmanager
from observability.__main__ import app
from observability.alerts import ALERTS

ROUTES: Final = [
    (alert.name, severity.value, "heartbeat" if alert.name == alertmanager.HEARTBEAT else severity.value)
    for alert in ALERTS
    for severity in sorted({each.severity for each in alert.thresholds})
]


@pytest.fixture(scope="module")
def amtool() -> str:
    """Return amtool."""
    return debian.find_program("amtool", "prometheus-alertmanager")


def test_the_file_is_what_is_declared() -> None:
    printed = CliRunner().invoke(app, ["alertmanager"])

    assert alertmanager.FILE.read_text() == printed.output, "run `make docs`"


def test_alertmanager_loads_it_with_the_addresses_that_are_given(amtool: str, tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(alertmanager.render("http://127.0.0.1:9494/page", "http://127.0.0.1:9494/ticket"))

    ran = subprocess.run([amtool, "check-config", str(file)], capture_output=True, text=True, check=False, timeout=20)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    receivers = {
        each["name"]: each["webhook_configs"][0]["url"] for each in yaml.safe_load(file.read_text())["receivers"]
    }
    assert receivers == {
        "page": "http://127.0.0.1:9494/page",
        "heartbeat": "http://127.0.0.1:9494/page",
        "ticket": "http://127.0.0.1:9494/ticket",
    }


@pytest.mark.parametrize(("alert", "severity", "receiver"), ROUTES)
def test_every_alert_finds_its_receiver(alert: str, severity: str, receiver: str, amtool: str) -> None:
    command = [amtool, "config", "routes", "test", "--config.file", str(alertmanager.FILE)]
    labels = [f"alertname={alert}", f"severity={severity}", "service=wallet"]

    ran = subprocess.run(
        [*command, f"--verify.receivers={receiver}", *labels], capture_output=True, text=True, check=False, timeout=20
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def named_in(matchers: Sequence[str]) -> set[str]:
    """Return the alerts that *matchers* name."""
    return {
        name
        for matcher in matchers
        for found in re.findall(r'^alertname=~?"([^"]*)"$', matcher)
        for name in found.split("|")
    }


def test_what_is_silenced_and_by_what_are_alerts() -> None:
    names = {alert.name for alert in ALERTS}

    for each in alertmanager.INHIBITIONS:
        assert named_in([*each.cause, *each.silenced]) <= names


def test_money_and_the_heartbeat_are_never_silenced() -> None:
    by_an_alert = [each for each in alertmanager.INHIBITIONS if named_in(each.cause)]

    silenced = {name for each in by_an_alert for name in named_in(each.silenced)}

    assert silenced.isdisjoint({"InvariantBroken", "RelayHalted", "ShardStopped", "JournalRoomLow", "DeadMansSwitch"})
