"""`python -m observability`: what looks at the platform, and what Prometheus and Alertmanager are told."""

import importlib.metadata
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from engines import checkout
from local_stack.config import Config
from local_stack.observers import ALERT_SINK
from local_stack.targets import scraped
from observability import alertmanager, grafana, scraping, sink
from observability.asking import NotAsked
from observability.catalogue import catalogue
from observability.dashboards import DASHBOARDS
from observability.logs_page import logs_page
from observability.looking import look
from observability.metrics_page import metrics_page
from observability.reading import read_by
from observability.rules import RULES, rule_files

PROMETHEUS_FOLDER: Final = Path(__file__).resolve().parents[2] / "prometheus"

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def configure(
    *,
    prometheus: Annotated[Path, typer.Option(help="Prometheus' configuration, to be written.")],
    targets: Annotated[Path, typer.Option(help="The folder of the files that tell it whom to ask.")],
    rules: Annotated[str, typer.Option(help="Its rule files, a pattern.")],
    alertmanager_file: Annotated[
        Path, typer.Option("--alertmanager", help="Alertmanager's configuration, to be written.")
    ],
    alertmanager_port: Annotated[int, typer.Option(help="Where Alertmanager listens.", min=1, max=65_535)],
    sink_port: Annotated[int, typer.Option(help="Where alerts go.", min=1, max=65_535)],
) -> None:
    """Write what Prometheus and Alertmanager of a local stack read."""
    for each in (prometheus, alertmanager_file):
        each.parent.mkdir(parents=True, exist_ok=True)
    told = scraping.local(targets=str(targets / "*.json"), rules=rules, alertmanager=f"{sink.HOST}:{alertmanager_port}")
    prometheus.write_text(told)
    page_url, ticket_url = (sink.url(sink_port, each) for each in sink.RECEIVERS)
    alertmanager_file.write_text(alertmanager.render(page_url, ticket_url))


@app.command(name="scrape-configs")
def scrape_configs(
    folder: Annotated[Path, typer.Option(help="Where compose.yml and kubernetes.yml stand.")] = PROMETHEUS_FOLDER,
) -> None:
    """Write whom Prometheus asks in compose and on Kubernetes, made of what the stack declares."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compose.yml").write_text(scraping.compose(list(scraped())))
    (folder / "kubernetes.yml").write_text(scraping.kubernetes(list(scraped())))


@app.command(name="sink")
def run_sink(
    file: Annotated[Path, typer.Option(help="Where alerts are written, a JSON object per line.")],
) -> None:
    """Keep the alerts that Alertmanager sends, on `ALERT_SINK_PORT`."""
    port = environment().get(ALERT_SINK.port_variable) or str(ALERT_SINK.port)
    try:
        sink.serve(int(port), file)
    except (OSError, ValueError) as error:
        sys.exit(f"error: port {port} cannot be bound ({error}): set {ALERT_SINK.port_variable} to a free one")


@app.command()
def probe() -> None:
    """Use the platform as a customer does, every few seconds, and tell at `/metrics` what became of it."""
    # Here, for the other commands need none of what a process is made of.
    from observability.probe.process import run_probe
    from observability.probe.settings import ProbeSettings
    from servicekit.lifecycle import run

    settings = ProbeSettings()
    try:
        key = settings.probe_key_file.read_text().strip()
    except OSError as error:
        sys.exit(f"error: the canary's key cannot be read ({error}): `make up` makes it, or set PROBE_KEY_FILE")
    version = importlib.metadata.version("observability")
    sys.exit(run(lambda shutdown: run_probe(settings, key, version, shutdown), drain_s=settings.drain_s))


def environment() -> Mapping[str, str]:
    """Return the variables of this process that are no settings: the one place where they are read."""
    return dict(os.environ)


@app.command("metrics-page")
def show_metrics_page() -> None:
    """Print the page of every metric, `docs/metrics.md`."""
    typer.echo(metrics_page(catalogue(), read_by), nl=False)


@app.command("logs-page")
def show_logs_page() -> None:
    """Print the page of every line that a process may log, `docs/logs.md`."""
    typer.echo(logs_page(), nl=False)


@app.command()
def rules(
    out: Annotated[
        Path, typer.Option(help="The folder to write to; a file of the same name there is replaced.")
    ] = RULES,
    divide: Annotated[
        int, typer.Option(min=1, max=3600, help="Divide windows, intervals and `for`s: alerts come sooner, in drills.")
    ] = 1,
) -> None:
    """Write the recording rules and the alerts as rule files of Prometheus."""
    if divide > 1 and out == RULES:
        print("The repository's rules are not divided: name another folder with --out.")
        raise typer.Exit(1)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in rule_files(divide).items():
        (out / name).write_text(text)


@app.command(name="alertmanager")
def print_alertmanager(
    page_url: Annotated[str, typer.Option(help="Where pages go, as webhooks.")] = alertmanager.PAGE_URL,
    ticket_url: Annotated[str, typer.Option(help="Where tickets go, as webhooks.")] = alertmanager.TICKET_URL,
) -> None:
    """Print the configuration of Alertmanager."""
    print(alertmanager.render(page_url, ticket_url), end="")


@app.command("dashboards")
def write_dashboards(
    out: Annotated[Path, typer.Option(help="The folder to write to; a file of the same name there is replaced.")] = (
        grafana.FOLDER
    ),
) -> None:
    """Write the dashboards, and what Grafana is told of them and of the sources of their data."""
    for name, text in grafana.files(DASHBOARDS).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)


@app.command("check-dashboards")
def check_dashboards(
    out: Annotated[Path, typer.Option(help="The folder of the pages.")] = checkout.STATE / "results" / "dashboards",
) -> None:
    """Ask for every panel of every dashboard, write a page of each, and name the panels that have nothing to show.

    Ends with 1 when there are some, those left out whose reason is told.
    """
    try:
        found = look(Config(environment()), DASHBOARDS, out, print)
    except NotAsked as error:
        sys.exit(f"error: {error}")
    for reason in found.excused:
        print(f"nothing to show, rightly: {reason}")
    for panel in found.missing:
        print(f"without data: {panel}")
    print(f"{found.filled} panels have data, {len(found.missing)} have not: {out}/overview.html")
    raise typer.Exit(1 if found.missing else 0)


if __name__ == "__main__":
    app()
