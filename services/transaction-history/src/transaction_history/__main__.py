"""The service's processes: `python -m transaction_history api | projector | migrate | projections …`."""

import asyncio
import sys
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from contracts.ids import SHARDS
from servicekit.migrations import Phase, migrate
from servicekit.process import run
from transaction_history import bootstrap
from transaction_history.adapters.rebuild import RebuildError
from transaction_history.config import HistoryOwnerSettings, HistorySettings

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
projections = typer.Typer(no_args_is_help=True, help="Look at the projection, and repair it.")
cli.add_typer(projections, name="projections")


@cli.command()
def api() -> None:
    """Answer questions about the history."""
    settings = HistorySettings()
    sys.exit(run(lambda shutdown: bootstrap.serve_api(settings, shutdown), drain_s=settings.drain_s))


@cli.command()
def projector() -> None:
    """Project the events of the topic."""
    settings = HistorySettings()
    sys.exit(run(lambda shutdown: bootstrap.run_projector(settings, shutdown), drain_s=settings.drain_s))


@cli.command(name="migrate")
def migrate_database(
    phase: Annotated[Phase, typer.Option(help="pre: before a release, post: after it, all: both.")] = Phase.ALL,
) -> None:
    """Bring the database's schema up to date, as its owner."""
    owner = HistoryOwnerSettings()
    applied = asyncio.run(
        migrate(
            owner.transaction_history_owner_database_url,
            bootstrap.migration_sources(),
            app_role=owner.transaction_history_app_role,
            phase=phase,
        )
    )
    typer.echo(f"{len(applied)} migrations applied")


@projections.command()
def status() -> None:
    """Tell how far each shard is projected and which wallets are parked; the exit code is 1 where something stands."""
    shards, parked = asyncio.run(bootstrap.projection_status(HistorySettings()))
    console, table = Console(), Table("shard", "last seq", "partition", "offset", "lag ms", "stopped")
    for shard in shards:
        places = (shard.shard, shard.last_seq, shard.partition, shard.offset, shard.lag_ms)
        table.add_row(*map(str, places), shard.stopped)
    console.print(table)
    wallets = Table("parked wallet", "shard", "since seq", "events", "parked at", "reason")
    for wallet in parked:
        facts = (wallet.wallet_id, wallet.shard, wallet.seq, wallet.events, wallet.parked_at, wallet.reason)
        wallets.add_row(*map(str, facts))
    console.print(wallets)
    sys.exit(1 if parked or any(shard.stopped for shard in shards) else 0)


@projections.command()
def unpark(wallet: Annotated[UUID, typer.Option(help="The wallet whose events are to be applied.")]) -> None:
    """Apply a parked wallet's events in order; the exit code is 1 where one fails again."""
    done = asyncio.run(bootstrap.unpark(HistorySettings(), wallet))
    typer.echo(f"{done.applied} events applied" + ("" if done.failure is None else f", then: {done.failure}"))
    sys.exit(0 if done.failure is None else 1)


@projections.command()
def rewind(
    shard: Annotated[int, typer.Option(min=0, max=SHARDS - 1, help="The shard that misses events.")],
    offset: Annotated[int, typer.Option(min=0, help="Where its partition is read again from.")] = 0,
) -> None:
    """Have a shard's partition read again: what was applied is skipped, what was missing is applied."""
    if not asyncio.run(bootstrap.rewind(HistorySettings(), shard, offset)):
        typer.echo(f"shard {shard} has no checkpoint yet", err=True)
        sys.exit(1)
    typer.echo(f"the projector will read the partition of shard {shard} again from offset {offset}")


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
    typer.echo("switched" if comparison.is_switched else "equal" if comparison.is_equal else "they differ")
    sys.exit(0 if comparison.is_equal else 1)


if __name__ == "__main__":
    cli()
