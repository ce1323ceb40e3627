"""A real Prometheus and a real Alertmanager, told whom to ask and where alerts go as those of the local stack are."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from engines import monitoring
from engines.errors import EngineError
from engines.monitoring import Alertmanager, Prometheus
from engines.ports import free_ports
from local_stack.targets import Target, write_targets
from observability import sink
from observability.sink import AlertFile

pytestmark = pytest.mark.integration

WITHIN_S = 30.0
POLL_S = 0.05
RULES = """\
groups:
  - name: test
    interval: 100ms
    rules:
      - alert: FigureHigh
        expr: sample_figure > 1
        labels: {severity: page}
"""


class _Figures(BaseHTTPRequestHandler):
    figure = 1

    def do_GET(self) -> None:
        body = f"# TYPE sample_figure gauge\nsample_figure {type(self).figure}\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(server: HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Observed"]:
    folder = tmp_path_factory.mktemp("observed")
    alerts = folder / "alerts.jsonl"
    with ExitStack() as stack:
        sink_port = stack.enter_context(serving(sink._Server(0, AlertFile(alerts))))
        figures_port = stack.enter_context(serving(HTTPServer(("127.0.0.1", 0), _Figures)))
        made = Observed(folder, alerts, sink_port, figures_port)
        for engine in (made.alertmanager, made.prometheus):
            engine.start()
            stack.callback(engine.kill)
        yield made


class Observed:
    """The two, with one process to ask, and what they come to."""

    def __init__(self, folder: Path, alerts: Path, sink_port: int, figures_port: int) -> None:
        port, alertmanager_port = free_ports(2)
        self.alerts = alerts
        self.targets = folder / "targets"
        self.figures_port = figures_port
        self.rules = folder / "rules" / "test.yml"
        self.rules.parent.mkdir()
        self.rules.write_text(RULES)
        self.prometheus = Prometheus(
            folder=folder / "prometheus", port=port, log=folder / "prometheus.log", config=folder / "prometheus.yml"
        )
        self.alertmanager = Alertmanager(
            folder=folder / "alertmanager",
            port=alertmanager_port,
            log=folder / "alertmanager.log",
            config=folder / "alertmanager.yml",
        )
        write_targets(self.targets, [Target("wallet", "wallet-api", "wallet-api", figures_port)])
        arguments = {
            "--prometheus": self.prometheus.config,
            "--targets": self.targets,
            "--rules": folder / "rules" / "*.yml",
            "--alertmanager": self.alertmanager.config,
            "--alertmanager-port": alertmanager_port,
            "--sink-port": sink_port,
        }
        flat = [str(part) for pair in arguments.items() for part in pair]
        subprocess.run([sys.executable, "-m", "observability", "configure", *flat], check=True)
        _hasten(self.prometheus.config, "global", scrape_interval="500ms", scrape_timeout="400ms")
        _hasten(self.alertmanager.config, "route", group_wait="0s", group_interval="500ms")

    def figures(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return what Prometheus answers to *query*: each series' labels and its value."""
        status, told = monitoring.ask(self.prometheus.port, f"/api/v1/query?query={quote(query)}")
        assert status == 200, told
        found: list[dict[str, Any]] = json.loads(told)["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def alert_lines(self) -> list[dict[str, Any]]:
        """Return what has come to the sink."""
        return [json.loads(line) for line in self.alerts.read_text().splitlines()] if self.alerts.exists() else []


def _hasten(file: Path, section: str, **waits: str) -> None:
    """Leave the configuration as it is written, but for waits that are too long for a test."""
    document = yaml.safe_load(file.read_text())
    for part in (document[section], *document[section].get("routes", ())):
        part.update(waits)
    file.write_text(yaml.safe_dump(document))


def until(question: Callable[[], bool]) -> None:
    """Return once the answer is yes."""
    deadline = time.monotonic() + WITHIN_S
    while not question():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(POLL_S)


def test_a_process_of_the_stack_is_asked_under_its_labels(observed: Observed) -> None:
    until(lambda: any(value == 1 for _, value in observed.figures("up")))

    ((labels, value),) = observed.figures("sample_figure")

    names = {"job": "wallet", "service": "wallet", "process": "wallet-api", "instance": "wallet-api"}
    assert (labels, value) == ({"__name__": "sample_figure", **names}, 1.0)


def test_a_stack_that_changes_is_followed_and_a_dead_process_is_seen(observed: Observed) -> None:
    (nobody,) = free_ports(1)
    both = [
        Target("wallet", "wallet-api", "wallet-api", observed.figures_port),
        Target("wallet", "wallet-api", "wallet-api-2", nobody),
    ]

    write_targets(observed.targets, both)

    until(
        lambda: (
            {labels["instance"]: value for labels, value in observed.figures("up")}
            == {"wallet-api": 1, "wallet-api-2": 0}
        )
    )
    write_targets(observed.targets, both[:1])
    until(lambda: len(observed.figures("up")) == 1)


def test_what_fires_comes_to_the_sink_and_so_does_its_end(observed: Observed) -> None:
    _Figures.figure = 2
    until(lambda: [each["status"] for each in observed.alert_lines()] == ["firing"])
    _Figures.figure = 1
    until(lambda: [each["status"] for each in observed.alert_lines()] == ["firing", "resolved"])

    firing, resolved = observed.alert_lines()
    assert (firing["alert"], firing["receiver"], firing["labels"]["service"]) == ("FigureHigh", "page", "wallet")
    assert resolved["starts_at"] == firing["starts_at"] < resolved["ends_at"]


def test_a_file_that_is_none_is_refused_and_what_was_read_stays_in_force(observed: Observed) -> None:
    good = observed.rules.read_text()
    observed.rules.write_text("groups: [{name: test, rules: [{alert: Broken, expr: 'sum('}]}]")
    with pytest.raises(EngineError, match="is not taken"):
        observed.prometheus.reload()
    assert '"FigureHigh"' in monitoring.ask(observed.prometheus.port, "/api/v1/rules")[1]

    observed.rules.write_text(good.replace("FigureHigh", "FigureTooHigh"))
    observed.prometheus.reload()

    assert '"FigureTooHigh"' in monitoring.ask(observed.prometheus.port, "/api/v1/rules")[1]
    observed.alertmanager.reload()
