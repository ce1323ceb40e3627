"""Alertmanager loads its configuration, every alert finds its receiver, and what is silenced is an alert."""

import re
import subprocess
from collections.abc import Mapping, Sequence
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


def fits(labels: Mapping[str, str], matchers: Sequence[str]) -> bool:
    """Return whether an alert with *labels* is one that *matchers* mean, as Alertmanager judges it."""
    for matcher in matchers:
        found = re.fullmatch(r'(\w+)(=~|!=|=)"([^"]*)"', matcher)
        assert found is not None, matcher
        name, operator, value = found.groups()
        has = labels.get(name, "")
        is_one = re.fullmatch(value, has) is not None if operator == "=~" else has == value
        if is_one == (operator == "!="):
            return False
    return True


def told(firing: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return those of the alerts that are *firing* that somebody is told of."""
    return [
        alert
        for alert in firing
        if not any(
            fits(alert, each.silenced)
            and fits(cause, each.cause)
            and all(alert.get(name, "") == cause.get(name, "") for name in each.equal)
            for each in alertmanager.INHIBITIONS
            for cause in firing
            if cause is not alert
        )
    ]


def an(alertname: str, severity: str = "page", **labels: str) -> dict[str, str]:
    """Return the labels of an alert."""
    return {"alertname": alertname, "severity": severity, **labels}


OF_RELAY: Final = {"service": "wallet", "process": "wallet-relay"}
PROBE_AFTER_READ: Final = [an("ProbeFailing", step=step) for step in ("read", "withdraw", "webhook")]
LATE: Final = [
    an("ConsumerLag", service="fraud", projection="fraud"),
    an("FraudDecisionsLate", "ticket", service="fraud"),
    an("WebhooksLate", "ticket", service="notifications"),
    an("LatencyBudgetBurn", service="transaction-history", slo="commands_visible", window="1h"),
    *PROBE_AFTER_READ,
]
FAULTS: Final = {
    "the wallet's relay is gone": (
        an("ServiceDown", **OF_RELAY),
        [
            an("InstanceDown", "ticket", **OF_RELAY, instance="wallet-relay"),
            an("NobodyPublishes", service="wallet"),
            *LATE,
        ],
    ),
    "the wallet's topic is ahead": (
        an("RelayHalted", service="wallet"),
        [an("ServiceDown", **OF_RELAY), an("NobodyPublishes", service="wallet"), *LATE],
    ),
    "the database server hangs": (
        an("DatabaseDown", service="postgres"),
        [
            an("DatabaseDown", service="wallet"),
            an("DatabaseDown", service="fraud"),
            an("InstanceDown", "ticket", service="postgres"),
            an("MaintenanceLate", "ticket", service="wallet", exported_job="sweep"),
            an("ErrorBudgetBurn", service="wallet", slo="commands_answered", window="1h"),
            an("ErrorBudgetBurn", "ticket", service="wallet", slo="commands_answered", window="3d"),
            an("ProbeFailing", step="deposit"),
            *LATE,
        ],
    ),
    "the broker is gone": (
        an("KafkaNoController", service="kafka"),
        [an("InstanceDown", "ticket", service="kafka"), an("RelayLag", service="wallet"), *LATE],
    ),
    "a certificate ends soon": (
        an("CertificateExpires", service="wallet", kind="certificate", name="api"),
        [an("CertificateExpires", "ticket", service="wallet", kind="certificate", name="api")],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_of_one_fault_its_cause_alone_is_told(fault: str) -> None:
    cause, following = FAULTS[fault]

    assert told([*following, cause]) == [cause]


@pytest.mark.parametrize(
    ("cause", "other"),
    [
        (an("DatabaseDown", service="fraud"), an("ErrorBudgetBurn", service="wallet", slo="commands_answered")),
        (an("ServiceDown", **OF_RELAY), an("InstanceDown", "ticket", service="wallet", process="wallet-api")),
        (an("RelayHalted", service="wallet"), an("ServiceDown", service="wallet", process="wallet-api")),
        (an("KafkaNoController", service="kafka"), an("ProbeFailing", step="deposit")),
        (an("KafkaNoController", service="kafka"), an("InstanceDown", "ticket", service="wallet")),
        (an("RelayLag", service="access"), an("ConsumerLag", service="fraud", projection="fraud")),
        (
            an("CertificateExpires", service="wallet", kind="certificate", name="api"),
            an("CertificateExpires", "ticket", service="wallet", kind="authority", name="kafka"),
        ),
        (an("DatabaseDown", service="postgres"), an("InvariantBroken", service="wallet", invariant="I2")),
    ],
)
def test_what_a_fault_does_not_cause_is_told_beside_it(cause: dict[str, str], other: dict[str, str]) -> None:
    assert told([cause, other]) == [cause, other]
