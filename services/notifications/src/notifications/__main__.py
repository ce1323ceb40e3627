"""The service's processes: `python -m notifications api | projector | worker | relay | migrate | projections …`."""

import typer

from notifications import bootstrap
from notifications.config import NotificationsOwnerSettings, NotificationsSettings
from servicekit.cli import add_migrate, add_projections, run_process

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@cli.command()
def api() -> None:
    """Take endpoints in, and tell what became of deliveries."""
    settings = NotificationsSettings()
    run_process(settings, lambda shutdown: bootstrap.serve_api(settings, shutdown))


@cli.command()
def projector() -> None:
    """Record a delivery for every event that an endpoint wants."""
    settings = NotificationsSettings()
    run_process(settings, lambda shutdown: bootstrap.run_projector(settings, shutdown))


@cli.command()
def worker() -> None:
    """Carry deliveries out."""
    settings = NotificationsSettings()
    run_process(settings, lambda shutdown: bootstrap.run_worker(settings, shutdown))


@cli.command()
def relay() -> None:
    """Publish what became of endpoints and deliveries."""
    settings = NotificationsSettings()
    run_process(settings, lambda shutdown: bootstrap.publish_events(settings, shutdown))


add_migrate(cli, lambda: bootstrap.migration(NotificationsOwnerSettings()))
add_projections(cli, lambda: bootstrap.operated(NotificationsSettings()))


if __name__ == "__main__":
    cli()
