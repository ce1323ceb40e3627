"""The wallet's processes: `python -m wallet api | relay | verify | migrate | unhalt`."""

import asyncio
import sys
from typing import Annotated

import typer

from servicekit.migrations import Phase, migrate
from servicekit.process import run
from wallet import bootstrap
from wallet.config import WalletOwnerSettings, WalletSettings

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@cli.command()
def api() -> None:
    """Serve the commands and the consistent reads."""
    settings = WalletSettings()
    sys.exit(run(lambda shutdown: bootstrap.serve_api(settings, shutdown), drain_s=settings.drain_s))


@cli.command()
def relay() -> None:
    """Publish the journal to Kafka."""
    settings = WalletSettings()
    sys.exit(run(lambda shutdown: bootstrap.run_relay(settings, shutdown), drain_s=settings.drain_s))


@cli.command()
def verify() -> None:
    """Fold the journal anew and compare it with the balances; the exit code is 1 where they differ."""
    holds = asyncio.run(bootstrap.verify_ledger(WalletSettings()))
    sys.exit(0 if holds else 1)


@cli.command(name="migrate")
def migrate_database(
    phase: Annotated[Phase, typer.Option(help="pre: before a release, post: after it, all: both.")] = Phase.ALL,
) -> None:
    """Bring the database's schema up to date, as its owner."""
    settings = WalletOwnerSettings()
    applied = asyncio.run(
        migrate(
            settings.wallet_owner_database_url,
            bootstrap.migration_sources(),
            app_role=settings.wallet_app_role,
            phase=phase,
        )
    )
    typer.echo(f"{len(applied)} migrations applied")


@cli.command()
def unhalt(operator: Annotated[str, typer.Option(help="Who decides.")]) -> None:
    """Accept that the topic holds records the journal lacks, so that relay and committers run again."""
    cleared = asyncio.run(bootstrap.clear_halts(WalletSettings(), operator))
    typer.echo(f"{cleared} halts cleared")


if __name__ == "__main__":
    cli()
