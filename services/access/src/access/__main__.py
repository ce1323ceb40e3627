"""The service's processes: `python -m access api | relay | worker | migrate`, and what operators run."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from access import bootstrap
from access.config import AccessOwnerSettings, AccessSettings
from access.continuity.taking_over import NotTaken
from access.provisioning.plan import PlanError, read_plan
from access.provisioning.provision import NewKey
from servicekit.cli import Migration, add_migrate, run_process
from servicekit.failures import Halted
from servicekit.maintenance.commands import add_maintenance
from servicekit.operators import DryRun
from servicekit.relay.publisher import PublishError
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
    *,
    file: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="What is to be there: TOML.")],
    dry_run: DryRun = False,
) -> None:
    """Make the tenants, issuers and service accounts of a file that are not there yet; print new keys as JSON lines."""
    settings = AccessSettings()
    try:
        plan = read_plan(file, allow_development=settings.mode is Mode.DEVELOPMENT)
        if dry_run:
            recorded = asyncio.run(bootstrap.try_provisioning(settings, plan))
            typer.echo(f"{recorded} changes would be made")
            return
        asyncio.run(bootstrap.provision(settings, plan, _print))
    except (PlanError, Halted) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@cli.command()
def unhalt(
    *,
    operator: Annotated[str, typer.Option(help="The operator who decides, as it is recorded.")],
    dry_run: DryRun = False,
) -> None:
    """Take over from the topic what a restored database lacks, so that API, worker and relay run again."""
    try:
        taken = asyncio.run(bootstrap.take_over(AccessSettings(), operator, dry_run=dry_run))
    except (NotTaken, PublishError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    for issuer in taken.unpolled:
        typer.echo(f"the keys of issuer {issuer} are not fetched until its key_set_url is given again")
    would = "would be " if dry_run else ""
    typer.echo(f"{taken.events} events {would}taken over, {taken.halts} halts {would}cleared")


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
add_maintenance(cli, lambda: AccessSettings().access_database_url)


if __name__ == "__main__":
    cli()
