"""The service's processes: `python -m transaction_history api | projector | indexer | worker | migrate | …`."""

import asyncio
import os
import sys
from contextlib import nullcontext
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from servicekit.cli import Migration, Operated, add_identities, add_migrate, add_projections, identities_of, run_process
from servicekit.consumer.projection import Projection
from transaction_history import bootstrap
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.maintenance.rebuild import RebuildError

INDEXER_NICENESS: Final = 5
"""Nobody waits for the index: it yields to the processes that somebody does."""

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@cli.command()
def api() -> None:
    """Answer questions about the history."""
    settings = HistorySettings()
    run_process(settings, lambda shutdown: bootstrap.serve_api(settings, shutdown))


@cli.command()
def projector() -> None:
    """Project the events of the topic."""
    settings = HistorySettings()
    run_process(settings, lambda shutdown: bootstrap.run_projector(settings, shutdown))


@cli.command()
def indexer() -> None:
    """Index the events of the topic, for searches and rollups."""
    settings = HistorySettings()
    os.nice(INDEXER_NICENESS)
    run_process(settings, lambda shutdown: bootstrap.run_indexer(settings, shutdown))


@cli.command()
def worker() -> None:
    """Carry jobs out, and publish what became of them."""
    settings = HistorySettings()
    run_process(settings, lambda shutdown: bootstrap.run_worker(settings, shutdown))


def _migration() -> Migration:
    owner = HistoryOwnerSettings()
    return Migration(
        owner.transaction_history_owner_database_url,
        bootstrap.migration_sources(),
        app_role=owner.transaction_history_app_role,
        reader_role=owner.transaction_history_reader_role,
    )


def _operated() -> Operated:
    settings = HistorySettings()
    return _operating(settings, bootstrap.make_projection(settings))


def _operated_index() -> Operated:
    settings = HistorySettings()
    return _operating(settings, bootstrap.make_index_projection(settings))


def _operating(settings: HistorySettings, projection: Projection) -> Operated:
    return Operated(
        settings.transaction_history_database_url,
        settings.brokers,
        projection.name,
        lambda: nullcontext(projection),
    )


def _identities() -> Operated:
    settings = HistorySettings()
    return identities_of(settings, dsn=settings.transaction_history_database_url, service="transaction-history")


add_migrate(cli, _migration)
add_identities(cli, _identities)
projections = add_projections(cli, _operated)
add_projections(cli, _operated_index, name="index", told="Show how the index is projected, and repair it.")


@projections.command()
def rebuild(
    *,
    switch: Annotated[bool, typer.Option("--switch", help="Switch to the rebuilt tables where all are equal.")] = False,
) -> None:
    """Build the read model a second time from the topic's beginning, and compare; the exit code is 1 unless equal."""
    try:
        comparison = asyncio.run(bootstrap.rebuild(HistorySettings(), HistoryOwnerSettings(), switch=switch))
    except RebuildError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    table = Table("table", "rows live", "rows rebuilt", "hash live", "hash rebuilt")
    for name, live in comparison.live.items():
        rebuilt = comparison.rebuilt[name]
        table.add_row(name, str(live.rows), str(rebuilt.rows), live.digest, rebuilt.digest)
    Console().print(table)
    if comparison.is_outdated:
        typer.echo("the live tables are those of the release before: what must agree was compared instead")
    for what, count in comparison.disagreements.items():
        typer.echo(f"{what}: {count}")
    typer.echo("switched" if comparison.is_switched else "equal" if comparison.is_equal else "they differ")
    sys.exit(0 if comparison.is_equal else 1)


if __name__ == "__main__":
    cli()
