"""The service's processes: `python -m transaction_history api | projector | indexer | worker | migrate | …`."""

import asyncio
import getpass
import os
import sys
from contextlib import nullcontext
from typing import Annotated, Final
from uuid import UUID

import typer

from contracts.ids import SHARDS
from servicekit.cli import Migration, Operated, add_identities, add_migrate, add_projections, identities_of, run_process
from servicekit.consumer.projection import Projection
from servicekit.maintenance.commands import add_maintenance
from servicekit.operators import DryRun, Yes, confirm
from transaction_history import bootstrap
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.maintenance.drift import Range
from transaction_history.maintenance.rebuild import RebuildError
from transaction_history.maintenance.repair import RepairError
from transaction_history.maintenance.terminal import Bar, show_comparison

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
add_maintenance(cli, lambda: HistorySettings().transaction_history_database_url)
add_identities(cli, _identities)
projections = add_projections(cli, _operated)
add_projections(cli, _operated_index, name="index", told="Show how the index is projected, and repair it.")


@projections.command()
def rebuild(
    *,
    projection: Annotated[bootstrap.Rebuilt, typer.Option(help="What is rebuilt.")] = bootstrap.Rebuilt.LEDGER,
    processes: Annotated[int, typer.Option(min=1, max=16, help="How many processes fill the tables.")] = 1,
    switch: Annotated[bool, typer.Option("--switch", help="Switch to the rebuilt tables where all are equal.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Switch back to the tables that were live before.")] = False,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Drop the tables that were live before.")] = False,
    yes: Yes = False,
) -> None:
    """Build a projection a second time from the topic, and compare; the exit code is 1 unless equal.

    What was ended on its way goes on from there. After a switch the tables that were live are kept for `--back`.
    """
    if switch + back + drop_old > 1:
        raise typer.BadParameter("one of --switch, --back and --drop-old")
    if drop_old:
        confirm(f"Drop the tables of {projection.value} that were live before, so that no way leads back?", yes=yes)
    settings, owner = HistorySettings(), HistoryOwnerSettings()
    try:
        if drop_old:
            was_there = asyncio.run(bootstrap.drop_old(settings, owner, what=projection))
            typer.echo("dropped" if was_there else "there was nothing to drop")
            return
        with Bar() as bar:
            if back:
                going_back = bootstrap.switch_back(settings, owner, what=projection, processes=processes, told=bar.told)
                held_s = asyncio.run(going_back)
            else:
                rebuilding = bootstrap.rebuild(
                    settings, owner, switch=switch, what=projection, processes=processes, told=bar.told
                )
                comparison = asyncio.run(rebuilding)
    except RebuildError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    if back:
        typer.echo(f"switched back; the live projection waited {held_s:.1f} s")
        return
    show_comparison(comparison)
    sys.exit(0 if comparison.is_equal else 1)


@projections.command()
def drift(
    *,
    projection: Annotated[bootstrap.Rebuilt, typer.Option(help="What is compared.")] = bootstrap.Rebuilt.LEDGER,
    shard: Annotated[int | None, typer.Option(min=0, max=SHARDS - 1, help="The shard, without it all.")] = None,
    from_seq: Annotated[int, typer.Option(min=1, help="The first sequence that is compared.")] = 1,
    to_seq: Annotated[int | None, typer.Option(min=1, help="The last sequence that is compared.")] = None,
) -> None:
    """Compare projected rows with the events of the topic, and name what differs; the exit code is 1 if anything does.

    Counters of the index are compared where a shard is compared from its beginning to its end.
    """
    wanted = Range(shard=shard, from_seq=from_seq, to_seq=to_seq)
    sys.exit(0 if asyncio.run(_drift(wanted, projection)) else 1)


async def _drift(wanted: Range, projection: bootstrap.Rebuilt) -> bool:
    """Print what differs; return whether nothing does."""
    events = skipped = found = 0
    async for compared in bootstrap.drift(HistorySettings(), wanted, what=projection):
        for each in compared.differences:
            typer.echo(
                f"shard {each.shard} seq {each.seq} {each.table}.{each.column} {each.key} wallet {each.wallet_id}"
            )
        for note in compared.notes:
            typer.echo(f"not compared: {note}")
        events, skipped = events + compared.events, skipped + compared.skipped
        found += len(compared.differences)
    typer.echo(f"{events} events compared, {skipped} not, {found} differences")
    return not found


@projections.command()
def repair(
    *, wallet: Annotated[UUID, typer.Option(help="The wallet that is written anew.")], dry_run: DryRun = False
) -> None:
    """Write what is stored of a wallet anew from the topic, in both projections, which wait meanwhile.

    A dry run does so, too, and takes it back: they wait for it as well.
    """
    settings, owner = HistorySettings(), HistoryOwnerSettings()
    try:
        repairing = bootstrap.repair(settings, owner, wallet, operator=getpass.getuser(), dry_run=dry_run)
        repaired = asyncio.run(repairing)
    except RepairError as error:
        typer.echo(f"nothing was changed: {error}", err=True)
        sys.exit(1)
    written = "would be written anew" if dry_run else "written anew"
    typer.echo(f"{written} from {repaired.events} events, with {repaired.transactions} transactions")
    if not repaired.has_totals:
        typer.echo("the totals of its shard were left as they are: a wallet of it is parked")


if __name__ == "__main__":
    cli()
