"""What looks at a stack: that it can be had is seen before anything is started."""

import subprocess
import sys
from pathlib import Path

from engines.ports import free_ports
from local_stack.config import Config
from local_stack.observers import OBSERVERS
from local_stack.observing import broker_agent
from local_stack.services import NOTIFICATIONS, SERVICES

ENGINE_PORTS = ("POSTGRES_PORT", "KAFKA_PORT", "KAFKA_CONTROLLER_PORT")


def test_without_a_program_a_sentence_says_what_to_install_and_nothing_is_begun(tmp_path: Path) -> None:
    state = tmp_path / "state"
    variables = [each.port_variable for service in SERVICES for each in service.processes]
    variables += [*ENGINE_PORTS, *(each.port_variable for each in OBSERVERS)]
    ports = dict(zip(variables, map(str, free_ports(len(variables))), strict=True))
    environment = {"PATH": "", "OBSERVE": "1", "LOCAL_STACK_STATE": str(state), **ports}

    refused = subprocess.run(
        [sys.executable, "-m", "local_stack", "up"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert refused.returncode == 1
    assert "the program prometheus is missing: install the package `prometheus`" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (state / "data").exists()


def test_a_stack_that_nobody_looks_at_has_nothing_in_its_broker() -> None:
    assert broker_agent(Config({})) is None


def test_only_where_the_probe_runs_may_webhooks_go_to_this_machine() -> None:
    assert dict(NOTIFICATIONS.observed_defaults) == {"NOTIFICATIONS_ALLOW_LOOPBACK": "true"}
    assert "NOTIFICATIONS_ALLOW_LOOPBACK" not in dict(NOTIFICATIONS.defaults)
