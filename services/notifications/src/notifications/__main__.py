"""The service's processes: `python -m notifications api | projector | worker | relay | migrate | projections …`."""

from contextlib import nullcontext

import typer

from notifications import bootstrap
from notifications.config import NotificationsOwnerSettings, NotificationsSettings
from servicekit.access.projection import make_access_projection
from servicekit.cli import Migration, Operated, add_migrate, add_projections, run_process

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
        settings.kafka_bootstrap_servers,
        projection.name,
        lambda: nullcontext(projection),
        make_access_projection(bootstrap.SERVICE.slug, settings.access_topic),
    )


add_migrate(cli, _migration)
add_projections(cli, _operated)


if __name__ == "__main__":
    cli()
