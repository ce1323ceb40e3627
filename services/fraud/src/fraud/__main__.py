"""The service's processes: `python -m fraud api | projector | relay | migrate | backtest | projections …`."""

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from contracts.envelope import rfc3339
from fraud import bootstrap
from fraud.application.backtest import Backtest
from fraud.config import BacktestSettings, FraudOwnerSettings, FraudSettings
from fraud.domain.judge import Decision
from fraud.domain.rules import RulesRefused
from servicekit.access.projection import make_access_projection
from servicekit.cli import Migration, Operated, add_migrate, add_projections, run_process

DECISIONS_SHOWN_MAX: Final = 1_000
"""More than these are only counted."""

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@cli.command()
def api() -> None:
    """Answer questions about risk."""
    settings = FraudSettings()
    run_process(settings, lambda shutdown: bootstrap.serve_api(settings, shutdown))


@cli.command()
def projector() -> None:
    """Fold and judge the events of the topic; SIGHUP reloads the rules."""
    settings = FraudSettings()
    run_process(settings, lambda shutdown: bootstrap.run_projector(settings, shutdown))


@cli.command()
def relay() -> None:
    """Publish decisions."""
    settings = FraudSettings()
    run_process(settings, lambda shutdown: bootstrap.run_relay(settings, shutdown))


@cli.command()
def backtest(
    rules: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The rule file to try.")],
    events_max: Annotated[int, typer.Option(min=1, help="How many events are judged at most.")] = 10_000_000,
    wallets_max: Annotated[int, typer.Option(min=1, help="How many wallets are followed at most.")] = 1_000_000,
) -> None:
    """Print what a rule file would have decided, from the topic's beginning to its end; write nothing.

    The exit code is 2 if the file is refused, 1 if a bound left something out.
    """
    settings = BacktestSettings()
    try:
        read = bootstrap.read_rules(rules, time_compression=settings.fraud_time_compression)
    except RulesRefused as refused:
        typer.echo(str(refused), err=True)
        sys.exit(2)
    run = Backtest(read, wallets_max)
    is_whole = asyncio.run(
        bootstrap.backtest(
            settings, run, events_max=events_max, on_decision=lambda made: _show(made, run), progress=_show_progress
        )
    )
    _show_totals(run)
    sys.exit(0 if is_whole and not run.left_out else 1)


def _show(decision: Decision, run: Backtest) -> None:
    if run.decisions > DECISIONS_SHOWN_MAX:
        return
    trigger = decision.trigger
    reasons = "; ".join(f"{each.rule}: {each.value} {each.measure} > {each.threshold}" for each in decision.reasons)
    facts = (rfc3339(trigger.envelope.time), decision.mode, decision.outcome, trigger.wallet_id, f"v{trigger.version}")
    typer.echo("  ".join(map(str, (*facts, reasons))))


def _show_progress(run: Backtest) -> None:
    typer.echo(f"{run.events} events, {run.decisions} decisions", err=True)


def _show_totals(run: Backtest) -> None:
    table = Table("rule", "outcome", "mode", "fired")
    for (rule, outcome, mode), count in sorted(run.fired.items()):
        table.add_row(rule, outcome, mode, str(count))
    Console().print(table)
    typer.echo(f"{run.events} events, {run.decisions} decisions by rules {run.rules.version}")
    if run.broken:
        typer.echo(f"{len(run.broken)} wallets have an event that does not fit: judged up to that event", err=True)
    if run.left_out:
        typer.echo(f"{run.left_out} wallets beyond the bound were left out", err=True)


def _migration() -> Migration:
    owner = FraudOwnerSettings()
    return Migration(
        owner.fraud_owner_database_url,
        bootstrap.migration_sources(),
        app_role=owner.fraud_app_role,
        reader_role=owner.fraud_reader_role,
    )


def _operated() -> Operated:
    settings = FraudSettings()
    projection = bootstrap.make_projection(settings)
    return Operated(
        settings.fraud_database_url,
        settings.kafka_bootstrap_servers,
        projection.name,
        lambda: nullcontext(projection),
        make_access_projection(bootstrap.SERVICE.slug, settings.access_topic),
    )


add_migrate(cli, _migration)
add_projections(cli, _operated)


if __name__ == "__main__":
    cli()
