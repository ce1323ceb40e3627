"""The service's processes: `python -m access api | relay | worker | migrate | bootstrap --file F`."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from access import bootstrap
from access.config import AccessOwnerSettings, AccessSettings
from access.provisioning.plan import PlanError, read_plan
from access.provisioning.provision import NewKey
from servicekit.cli import Migration, add_migrate, run_process
from servicekit.settings import Mode

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@cli.command()
def api() -> None:
    """Take in who may do what."""
    settings = AccessSettings()
    run_process(settings, lambda shutdown: bootstrap.serve_api(settings, shutdown))


@cli.command()
def relay() -> None:
    """Publish what changed."""
    settings = AccessSettings()
    run_process(settings, lambda shutdown: bootstrap.run_relay(settings, shutdown))


@cli.command()
def worker() -> None:
    """Fetch issuers' keys, and forget what is old."""
    settings = AccessSettings()
    run_process(settings, lambda shutdown: bootstrap.run_worker(settings, shutdown))


@cli.command(name="bootstrap")
def provision(
    file: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="What is to be there: TOML.")],
) -> None:
    """Make the tenants, issuers and service accounts of a file that are not there yet; print new keys as JSON lines."""
    settings = AccessSettings()
    try:
        plan = read_plan(file, allow_development=settings.mode is Mode.DEVELOPMENT)
        asyncio.run(bootstrap.provision(settings, plan, _print))
    except PlanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _print(made: NewKey) -> None:
    typer.echo(msgspec.json.encode(made).decode())


def _migration() -> Migration:
    owner = AccessOwnerSettings()
    return Migration(
        owner.access_owner_database_url,
        bootstrap.migration_sources(),
        app_role=owner.access_app_role,
        reader_role=owner.access_reader_role,
    )


add_migrate(cli, _migration)


if __name__ == "__main__":
    cli()
