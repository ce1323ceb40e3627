"""The whole local stack, watched and behind its gateway, in a folder and on ports of its own: drills are held on it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from engines import accounts, checkout, temporary
from engines.daemon import kill_family
from engines.errors import EngineError
from engines.postgres import SUPERUSER
from local_stack import state
from local_stack.observers import OBSERVERS
from local_stack.services import SERVICES

DIVIDED_BY: Final = 30
"""Windows and waits of the rules are so much shorter."""
PORTS_FROM: Final = 12_000
"""Those of a release beside it are 10,000 higher, and below those that clients' sockets get."""
PORT_STEP: Final = 10_000
FRAUD_RULES: Final = checkout.ROOT / "services" / "fraud" / "rules" / "default.yaml"
ASKED_S: Final = 10.0
_ENGINES: Final = {"POSTGRES_PORT": 54320, "KAFKA_PORT": 19092, "KAFKA_CONTROLLER_PORT": 19093, "GATEWAY_PORT": 8080}


def port_variables() -> dict[str, str]:
    """Return ports that are no stack's own: the usual ones, moved above PORTS_FROM."""
    usual = {
        **_ENGINES,
        **{process.port_variable: process.port for service in SERVICES for process in service.processes},
        **{observer.port_variable: observer.port for observer in OBSERVERS},
    }
    return {name: str(PORTS_FROM + port % PORT_STEP) for name, port in usual.items()}


@dataclass(frozen=True)
class DrillStack:
    """A stack that runs: its *folder*, and the *environment* of its commands."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def document(self) -> dict[str, Any]:
        """What `stack.json` says of it now."""
        document: dict[str, Any] = json.loads(state.description_file(self.folder).read_text())
        return document

    @property
    def alerts(self) -> Path:
        """The file with the alerts that Alertmanager sent."""
        return self.folder / "alerts.jsonl"

    @property
    def rules_of_fraud(self) -> Path:
        """The rules in force, which a drill may replace."""
        return self.folder / "rules.yaml"

    def dsn(self, service: str) -> str:
        """Return where the app role of *service* reaches its database."""
        return str(self.document["postgres"][service])

    def admin_dsn(self) -> str:
        """Return where the superuser reaches the server."""
        password = (self._postgres_folder / "password").read_text()
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.environment['POSTGRES_PORT']}/postgres"

    @property
    def targets_file(self) -> Path:
        """Whom Prometheus asks."""
        return self.folder / "data" / "prometheus" / "targets" / "stack.json"

    def targets(self) -> list[dict[str, Any]]:
        """Return whom Prometheus asks, each with its labels."""
        targets: list[dict[str, Any]] = json.loads(self.targets_file.read_text())
        return targets

    @property
    def _postgres_folder(self) -> Path:
        return accounts.home_for(accounts.unprivileged_account(), self.folder) / "data" / "postgres"

    def key(self, kind: str = "service") -> str:
        """Return the stack's first key of *kind*."""
        return self.command("local_stack", "key", "--kind", kind).strip()

    def command(self, *words: str) -> str:
        """Run `python -m` *words* with the stack's environment; return what it prints."""
        return _run(self.environment, *words)

    def dsn_as(self, service: str, kind: str) -> str:
        """Return where another role of *service* reaches its database: `owner` or `reader`."""
        role = f"{service}_{kind}"
        address = urllib.parse.urlsplit(self.dsn(service))
        password = state.passwords(self.folder, [role])[role]
        return address._replace(netloc=f"{role}:{password}@{address.hostname}:{address.port}").geturl()

    def command_of(self, service: str, *words: str) -> str:
        """Run a command of *service* as its operators do, with its databases' addresses."""
        own = {
            f"{service.upper()}_DATABASE_URL": self.dsn(service),
            f"{service.upper()}_OWNER_DATABASE_URL": self.dsn_as(service, "owner"),
            f"{service.upper()}_READER_DATABASE_URL": self.dsn_as(service, "reader"),
            "KAFKA_BOOTSTRAP_SERVERS": self.document["kafka"],
        }
        return _run({**self.environment, **own}, service, *words)

    def process(self, name: str) -> psutil.Process:
        """Return a process of a service, or one that looks at them."""
        found = self.document["processes"].get(name) or self.document["observers"][name]
        return psutil.Process(found["pid"])

    def engine(self, word: str) -> psutil.Process:
        """Return the engine whose command has *word* in it, a child of the stack's own process."""
        keeper = state.running_pid(self.folder)
        for child in psutil.Process(keeper).children():
            if any(word in part for part in child.cmdline()):
                return child
        raise EngineError(f"the stack runs no {word}")

    def figures(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Return what Prometheus answers to *query*: labels and value of each series."""
        url = (
            f"{self.document['observers']['prometheus']['url']}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        )
        with urllib.request.urlopen(url, timeout=ASKED_S) as answer:  # noqa: S310 - our own Prometheus
            found = json.loads(answer.read())["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]


@contextlib.contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """SIGSTOP a process and its children for the body."""
    family = [process, *process.children(recursive=True)]
    for each in family:
        each.suspend()
    try:
        yield
    finally:
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()


@contextlib.contextmanager
def running_stack() -> Iterator[DrillStack]:
    """Bring a full stack up, its rules divided by DIVIDED_BY, and take it down with all of it."""
    with temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder:
        rules = folder / "rules"
        environment = {
            **os.environ,
            **port_variables(),
            "LOCAL_STACK_STATE": str(folder),
            "FULL": "1",
            "PROMETHEUS_RULES": str(rules / "*.yml"),
            "FRAUD_RULES_FILE": str(folder / "rules.yaml"),
        }
        shutil.copy(FRAUD_RULES, folder / "rules.yaml")
        _run(environment, "observability", "rules", "--divide", str(DIVIDED_BY), "--out", str(rules))
        try:
            _run(environment, "local_stack", "up", "--detach")
            yield DrillStack(folder, environment)
        finally:
            _take_down(folder, environment)


def _run(environment: Mapping[str, str], *words: str) -> str:
    """Run `python -m` *words*; return what it prints, or raise EngineError with that where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *words], env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise EngineError(f"`{' '.join(words)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _take_down(folder: Path, environment: Mapping[str, str]) -> None:
    try:
        _run(environment, "local_stack", "down")
    except EngineError:
        keeper = state.running_pid(folder)
        if keeper is not None:
            os.kill(keeper, signal.SIGCONT)
            kill_family(keeper)
        raise
