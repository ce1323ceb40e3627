"""The wallet's processes: `python -m wallet api | relay | decisions | maintenance`, and what operators run."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from servicekit.cli import Migration, Operated, add_identities, add_migrate, add_projections, identities_of, run_process
from servicekit.maintenance.commands import add_maintenance
from servicekit.operators import DryRun
from wallet.bootstrap import migration_sources, operating
from wallet.bootstrap.api import serve_api
from wallet.bootstrap.background import run_decisions, run_relay
from wallet.bootstrap.housekeeping import run_maintenance
from wallet.config import WalletOwnerSettings, WalletSettings
from wallet.fraud_restrictions.projection import FraudRestrictions
from wallet.maintenance.archive import KEEP

T = TypeVar("T")
cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@cli.command()
def api() -> None:
    """Serve the commands and the consistent reads."""
    settings = WalletSettings()
    run_process(settings, lambda shutdown: serve_api(settings, shutdown))


@cli.command()
def relay() -> None:
    """Publish the journal to Kafka."""
    settings = WalletSettings()
    run_process(settings, lambda shutdown: run_relay(settings, shutdown))


@cli.command()
def decisions() -> None:
    """Act on the decisions of the fraud service."""
    settings = WalletSettings()
    run_process(settings, lambda shutdown: run_decisions(settings, shutdown))


@cli.command()
def verify() -> None:
    """Fold the journal anew and compare it with the balances; the exit code is 1 if they differ."""
    holds = _answer_errors(lambda: operating.verify_ledger(WalletSettings()))
    sys.exit(0 if holds else 1)


@cli.command()
def unhalt(
    *,
    operator: Annotated[str, typer.Option(help="The operator who decides, as it is recorded.")],
    dry_run: DryRun = False,
) -> None:
    """Accept that the topic holds records the journal lacks, so that relay and committers run again."""
    if dry_run:
        for halt in asyncio.run(operating.active_halts(WalletSettings())):
            typer.echo(
                f"would accept {halt.topic} partition {halt.partition} offset {halt.offset}: shard {halt.shard}"
                f" sequence {halt.sequence} event {halt.event_id}, halted at {halt.halted_at:%Y-%m-%dT%H:%M:%S%z}"
            )
        return
    cleared = asyncio.run(operating.clear_halts(WalletSettings(), operator))
    typer.echo(f"{cleared} halts cleared")


@cli.command()
def archive(
    *,
    keep: Annotated[int, typer.Option(min=0, help="How many complete partitions stay attached.")] = KEEP,
    dry_run: DryRun = False,
) -> None:
    """Detach and keep the oldest journal partitions, as the owner; the exit code is 1 if one could not be detached."""
    _answer_errors(lambda: operating.archive_partitions(WalletOwnerSettings(), keep=keep, dry_run=dry_run))


@cli.command()
def rebuild(
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Correct the rows that differ from the journal; the API must be stopped.")
    ] = False,
    operator: Annotated[
        str | None, typer.Option(help="The operator who decides on the repair, as it is recorded.")
    ] = None,
) -> None:
    """Derive the wallets' rows from the journal again and compare; the exit code is 1 if they differ."""
    if repair != (operator is not None):
        raise typer.BadParameter("--repair and --operator go together")
    equal = _answer_errors(lambda: operating.rebuild_wallets(WalletSettings(), operator=operator))
    sys.exit(0 if equal else 1)


@cli.command()
def replay(
    to: Annotated[str, typer.Option(help="The fresh topic; its partitions divide 64.")],
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue where an earlier replay to the topic ended.")
    ] = False,
    without_missing: Annotated[
        bool, typer.Option("--without-missing", help="Start after archived partitions that are missing.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Write the journal to a fresh topic; the exit code is 1 unless the topic has every event ever published."""
    if dry_run:
        rows = _answer_errors(lambda: operating.count_journal(WalletSettings()))
        typer.echo(f"{rows:,} rows of the journal would be read, and their events written to {to}")
        return
    whole = _answer_errors(
        lambda: operating.replay_journal(WalletSettings(), to, resume=resume, without_missing=without_missing)
    )
    sys.exit(0 if whole else 1)


def _answer_errors(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *work*; an expected error ends the command with its message and exit code 1."""
    try:
        return asyncio.run(work())
    except operating.EXPECTED_ERRORS as error:
        typer.echo(str(error), err=True)
        sys.exit(1)


def _migration() -> Migration:
    owner = WalletOwnerSettings()
    return Migration(
        owner.wallet_owner_database_url,
        migration_sources(),
        app_role=owner.wallet_app_role,
        reader_role=owner.wallet_reader_role,
    )


def _operated() -> Operated:
    settings = WalletSettings()
    return Operated(
        settings.wallet_database_url,
        settings.brokers,
        FraudRestrictions.name,
        lambda: operating.operate_decisions(settings),
    )


def _identities() -> Operated:
    settings = WalletSettings()
    return identities_of(settings, dsn=settings.wallet_database_url, service="wallet")


def _maintenance() -> None:
    settings = WalletSettings()
    run_process(settings, lambda shutdown: run_maintenance(settings, shutdown))


add_migrate(cli, _migration)
add_maintenance(cli, lambda: WalletSettings().wallet_database_url, process=_maintenance)
add_identities(cli, _identities)
add_projections(cli, _operated)

if __name__ == "__main__":
    cli()
