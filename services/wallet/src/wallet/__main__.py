"""The wallet's processes: `python -m wallet api | relay | verify | migrate | unhalt`."""

import asyncio
import sys
from typing import Annotated

import typer

from servicekit.service.commands import Migration, add_migrate, run_process
from wallet import bootstrap
from wallet.config import WalletOwnerSettings, WalletSettings

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@cli.command()
def api() -> None:
    """Serve the commands and the consistent reads."""
    settings = WalletSettings()
    run_process(settings, lambda shutdown: bootstrap.serve_api(settings, shutdown))


@cli.command()
def relay() -> None:
    """Publish the journal to Kafka."""
    settings = WalletSettings()
    run_process(settings, lambda shutdown: bootstrap.run_relay(settings, shutdown))


@cli.command()
def verify() -> None:
    """Fold the journal anew and compare it with the balances; the exit code is 1 where they differ."""
    holds = asyncio.run(bootstrap.verify_ledger(WalletSettings()))
    sys.exit(0 if holds else 1)


@cli.command()
def unhalt(operator: Annotated[str, typer.Option(help="Who decides.")]) -> None:
    """Accept that the topic holds records the journal lacks, so that relay and committers run again."""
    cleared = asyncio.run(bootstrap.clear_halts(WalletSettings(), operator))
    typer.echo(f"{cleared} halts cleared")


def _migration() -> Migration:
    owner = WalletOwnerSettings()
    return Migration(owner.wallet_owner_database_url, bootstrap.migration_sources(), owner.wallet_app_role)


add_migrate(cli, _migration)

if __name__ == "__main__":
    cli()
