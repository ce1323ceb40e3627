"""The real stack, driven as `make up DETACH=1`, `make status` and `make down` drive it."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from engines.checkout import ROOT
from engines.ports import free_ports
from local_stack.observers import KAFKA_AGENT, OBSERVERS
from local_stack.processes import says_ready
from local_stack.services import SERVICES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PORT_VARIABLES = (
    "POSTGRES_PORT",
    "KAFKA_PORT",
    "KAFKA_CONTROLLER_PORT",
    *(process.port_variable for service in SERVICES for process in service.processes),
    *(observer.port_variable for observer in OBSERVERS),
)
POLL_S = 0.05
BACK_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def environment(run_folder: Path) -> dict[str, str]:
    """Give a stack with a folder and ports of its own, nothing from outside, and all that looks at it."""
    ports = zip(PORT_VARIABLES, map(str, free_ports(len(PORT_VARIABLES))), strict=True)
    outside = ["KAFKA_BOOTSTRAP_SERVERS", *(each.url_variable for each in SERVICES)]
    inherited = {name: value for name, value in os.environ.items() if name not in outside}
    own = {"LOCAL_STACK_STATE": str(run_folder / "real-stack"), "OBSERVE": "1"}
    return {**inherited, **own, **dict(ports)}


def local_stack(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local_stack", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def up(environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    started = local_stack(environment, "up", "--detach")
    try:
        assert started.returncode == 0, started.stderr
        yield read(environment)
    finally:
        stopped = local_stack(environment, "down")
    assert stopped.returncode == 0, stopped.stderr
    assert not description(environment).exists()


def description(environment: dict[str, str]) -> Path:
    return Path(environment["LOCAL_STACK_STATE"]) / "stack.json"


def read(environment: dict[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(description(environment).read_text())
    return document


def test_every_process_of_every_service_is_ready(up: dict[str, Any]) -> None:
    names = {process.name for service in SERVICES for process in service.processes}

    assert set(up["processes"]) == names
    assert set(up["services"]) == set(up["postgres"]) == {service.name for service in SERVICES}
    for process in up["processes"].values():
        assert says_ready(int(process["url"].rpartition(":")[2]))


def test_status_shows_them(up: dict[str, Any], environment: dict[str, str]) -> None:
    shown = local_stack({**environment, "COLUMNS": "200"}, "status")

    assert shown.returncode == 0
    assert all(name in shown.stdout for name in up["processes"])
    assert "not ready" not in shown.stdout


def figures(up: dict[str, Any], query: str) -> dict[str, float]:
    """Return what Prometheus answers to *query*: the value of each series by its last label."""
    answer = httpx2.get(up["observers"]["prometheus"]["url"] + "/api/v1/query", params={"query": query})
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]["result"]
    return {["", *each["metric"].values()][-1]: float(each["value"][1]) for each in found}


def test_prometheus_finds_every_process_and_the_probe_gets_through(up: dict[str, Any]) -> None:
    shown = {each.name for each in OBSERVERS} - {KAFKA_AGENT.name}
    asked = {*up["processes"], *(each.name for each in OBSERVERS if each.figures_of)}
    steps = {"deposit", "transfer", "read", "withdraw", "webhook"}

    assert set(up["observers"]) == shown
    until(lambda: figures(up, "max by (instance) (up)") == dict.fromkeys(asked, 1.0), "not every process is up")
    until(lambda: figures(up, "max by (step) (probe_success)") == dict.fromkeys(steps, 1.0), "the probe fails")
    engines = ("pg_up", "kafka_controller_active", "node_memory_MemAvailable_bytes", "pg_wal_bytes_total")
    assert [name for name in engines if not figures(up, name)] == []


def test_a_probe_that_was_killed_goes_on_with_the_wallets_that_it_had(
    up: dict[str, Any], environment: dict[str, str]
) -> None:
    key = (Path(environment["LOCAL_STACK_STATE"]) / "secrets" / "canary.key").read_text()
    before = up["observers"]["probe"]["pid"]
    begun_s = time.time()  # noqa: TID251  Prometheus compares with it

    os.kill(before, signal.SIGKILL)

    played = "min(probe_last_run_timestamp_seconds)"
    until(lambda: read(environment)["observers"]["probe"]["pid"] not in {before, None}, "the probe did not come back")
    until(lambda: figures(up, played).get("", 0.0) > begun_s, "the probe does not play")
    url = up["services"]["wallet"]["url"] + "/v1/wallets?owner_id=canary-payer"
    assert len(httpx2.get(url, headers={"authorization": f"Bearer {key}"}).json()["data"]) == 1


def until(question: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + BACK_WITHIN_S
    while not question():
        assert time.monotonic() < deadline, otherwise
        time.sleep(POLL_S)


def test_a_second_up_says_that_one_runs(up: dict[str, Any], environment: dict[str, str]) -> None:
    assert up
    for arguments in (("up",), ("up", "--detach")):
        second = local_stack(environment, *arguments)

        assert second.returncode == 1
        assert "a stack runs already" in second.stderr


def test_the_readmes_commands_work_pasted(up: dict[str, Any], environment: dict[str, str]) -> None:
    pasted = re.search(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert pasted is not None
    commands = pasted[1]
    for port, service in (("8101", "wallet"), ("8111", "transaction_history")):
        commands = commands.replace(f"http://127.0.0.1:{port}", up["services"][service]["url"])

    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ran.returncode == 0, ran.stderr
    entries = json.loads(ran.stdout[ran.stdout.index('{"data"') :])["data"]
    assert [entry["amount"] for entry in entries] == [{"amount": "9.99", "currency": "USD"}]


def test_a_user_reaches_its_own_and_a_signed_out_one_nothing(up: dict[str, Any], environment: dict[str, str]) -> None:
    def ask(method: str, service: str, path: str, credential: str, body: object = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {credential}", "idempotency-key": secrets.token_hex(8)}
        url = up["services"][service]["url"] + path
        return httpx2.request(method, url, headers=headers, json=body)

    token = local_stack(environment, "token", "--sub", "zoe").stdout.strip()
    staff = local_stack(environment, "key", "--kind", "operator").stdout.strip()
    opened = ask("POST", "wallet", "/v1/wallets", token, {"owner_id": "zoe", "currency": "USD"})
    assert opened.status_code == 201, opened.text
    assert ask("POST", "wallet", "/v1/wallets", token, {"owner_id": "ann", "currency": "USD"}).status_code == 403
    assert ask("GET", "fraud", "/v1/risk/decisions", token).status_code == 403

    out = ask("POST", "access", "/v1/subjects/dev%7Czoe/sign-out", staff)
    assert out.status_code == 200, out.text

    path = f"/v1/wallets/{opened.json()['id']}"
    deadline = time.monotonic() + BACK_WITHIN_S
    while ask("GET", "wallet", path, token).status_code != 401:
        assert time.monotonic() < deadline, "the sign-out is not known"
        time.sleep(POLL_S)
    assert ask("GET", "transaction_history", "/v1/history/owners/zoe/entries", token).status_code in {200, 401}


@pytest.mark.parametrize("name", [process.name for service in SERVICES for process in service.processes])
def test_a_killed_process_comes_back_under_another_pid(
    up: dict[str, Any], environment: dict[str, str], name: str
) -> None:
    before = up["processes"][name]

    os.kill(before["pid"], signal.SIGKILL)

    wait_for_another_pid(environment, name, before["pid"])


def wait_for_another_pid(environment: dict[str, str], name: str, pid: int) -> None:
    """Return once the process is ready again and `stack.json` names its new pid."""
    deadline = time.monotonic() + BACK_WITHIN_S
    while True:
        now = read(environment)["processes"][name]
        if now["pid"] not in {pid, None} and says_ready(int(now["url"].rpartition(":")[2])):
            return
        assert time.monotonic() < deadline, f"{name} did not come back"
        time.sleep(POLL_S)
