"""The service's processes: `python -m notifications api | projector | worker | relay | migrate | projections …`."""

from contextlib import nullcontext

import typer

from notifications import bootstrap
from notifications.config import NotificationsOwnerSettings, NotificationsSettings
from servicekit.cli import Migration, Operated, add_identities, add_migrate, add_projections, identities_of, run_process
from servicekit.maintenance.commands import add_maintenance

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
    run_process(settings, lambda shutdown: bootstrap.run_relay(settings, shutdown))


def _migration() -> Migration:
    owner = NotificationsOwnerSettings()
    return Migration(
        owner.notifications_owner_database_url,
        bootstrap.migration_sources(),
        app_role=owner.notifications_app_role,
        reader_role=owner.notifications_reader_role,
    )


def _operated() -> Operated:
    settings = NotificationsSettings()
    projection = bootstrap.make_projection(settings)
    return Operated(
        settings.notifications_database_url,
        settings.brokers,
        projection.name,
        lambda: nullcontext(projection),
    )


def _identities() -> Operated:
    settings = NotificationsSettings()
    return identities_of(settings, dsn=settings.notifications_database_url, service="notifications")


add_migrate(cli, _migration)
add_maintenance(cli, lambda: NotificationsSettings().notifications_database_url)
add_identities(cli, _identities)
add_projections(cli, _operated)


if __name__ == "__main__":
    cli()
