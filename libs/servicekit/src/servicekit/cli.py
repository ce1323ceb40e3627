"""The commands that services have: `migrate`, and `projections` and `identities`, each `status | unpark | rewind`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from contracts.ids import SHARDS
from servicekit.access.projection import AccessProjection, access_projection_name
from servicekit.brokers import Brokers
from servicekit.consumer import operations
from servicekit.consumer.operations import ParkedSubject, ShardStatus
from servicekit.consumer.projection import Projection
from servicekit.consumer.unparking import Unparked
from servicekit.consumer.unparking import unpark as unpark_subject
from servicekit.lifecycle import Shutdown, run
from servicekit.migrations import MigrationError, MigrationSource, Phase, migrate, pending
from servicekit.operators import DryRun
from servicekit.postgres import Pool, PoolSettings, name_sessions, open_pool
from servicekit.settings import ServiceSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Migration:
    """What `migrate` is given: the owner role's address, the sources in their order, and whom they grant rights."""

    dsn: str
    sources: Sequence[MigrationSource]
    app_role: str
    reader_role: str | None = None


@dataclass(frozen=True, slots=True)
class Operated:
    """A projection as its operator reaches it: by its *name*, and opened where events are to be applied.

    They are read from the topic at *brokers*.
    """

    dsn: str
    brokers: Brokers
    name: str
    open_projection: Callable[[], AbstractAsyncContextManager[Projection]]


def run_process(settings: ServiceSettings, main: Callable[[Shutdown], Awaitable[None]]) -> None:
    """Run *main* as this process, and end the process with its exit code."""
    name_sessions(settings.release)
    sys.exit(run(main, drain_s=settings.drain_s))


def add_migrate(cli: typer.Typer, migration: Callable[[], Migration]) -> None:
    """Add `migrate` to *cli*; *migration* reads the settings when the command runs."""

    @cli.command(name="migrate")
    def migrate_database(
        *,
        phase: Annotated[Phase, typer.Option(help="pre: before a release, post: after it, all: both.")] = Phase.ALL,
        dry_run: DryRun = False,
    ) -> None:
        """Bring the database's schema and functions up to date, as its owner; exits with 1 if files do not fit."""
        wanted = migration()
        try:
            if dry_run:
                for each in asyncio.run(pending(wanted.dsn, wanted.sources, phase=phase)):
                    typer.echo(f"would apply {each}")
                return
            applied = asyncio.run(
                migrate(
                    wanted.dsn,
                    wanted.sources,
                    app_role=wanted.app_role,
                    reader_role=wanted.reader_role,
                    phase=phase,
                )
            )
        except MigrationError as error:
            typer.echo(f"migrate: {error}", err=True)
            sys.exit(1)
        typer.echo(f"{len(applied)} migrations and functions applied")


def identities_of(settings: ServiceSettings, *, dsn: str, service: str) -> Operated:
    """Return what *service* (its slug), with its database at *dsn*, knows of identities, as its operator reaches it."""
    projection = AccessProjection(access_projection_name(service), settings.access_topic)
    return Operated(dsn, settings.brokers, projection.name, lambda: nullcontext(projection))


def add_identities(cli: typer.Typer, operated: Callable[[], Operated]) -> None:
    """Add `identities` to *cli*, which is to the projection of identities what `projections` is to the service's."""
    add_projections(cli, operated, name="identities", told="Show how identities are projected, and repair it.")


def add_projections(
    cli: typer.Typer,
    operated: Callable[[], Operated],
    *,
    name: str = "projections",
    told: str = "Show the projection's state, and repair it.",
) -> typer.Typer:
    """Add *name*, with *told* as its help, to *cli* and return it; *operated* reads the settings when it runs."""
    projections = typer.Typer(no_args_is_help=True, help=told)
    cli.add_typer(projections, name=name)

    @projections.command()
    def status() -> None:
        """Show shards' checkpoints and parked subjects; exits with 1 if a shard is stopped or a subject parked."""
        shards, parked = _on_pool(operated(), _status)
        _show_status(shards, parked)
        sys.exit(1 if parked or any(shard.stopped for shard in shards) else 0)

    @projections.command()
    def unpark(
        *,
        subject: Annotated[UUID, typer.Option(help="The subject whose events are to be applied.")],
        dry_run: DryRun = False,
    ) -> None:
        """Apply a parked subject's events in order; the exit code is 1 if one fails again."""
        if dry_run:
            _, parked = _on_pool(operated(), _status)
            waiting = sum(each.events for each in parked if each.subject == subject)
            typer.echo(f"{waiting} events would be applied")
            return
        done = _on_pool(operated(), lambda pool, operated: _unpark(pool, operated, subject))
        typer.echo(f"{done.applied} events applied" + ("" if done.failure is None else f", then: {done.failure}"))
        sys.exit(0 if done.failure is None else 1)

    @projections.command()
    def rewind(
        *,
        shard: Annotated[int, typer.Option(min=0, max=SHARDS - 1, help="The shard that misses events.")],
        offset: Annotated[int, typer.Option(min=0, help="The offset that its partition is read from again.")] = 0,
        dry_run: DryRun = False,
    ) -> None:
        """Have a shard's partition read again: events applied before are skipped, missing ones applied."""
        if dry_run:
            shards, _ = _on_pool(operated(), _status)
            for each in shards:
                if each.shard == shard:
                    typer.echo(f"partition {each.partition} would be read again from {offset}, it is at {each.offset}")
            return
        if not _on_pool(operated(), lambda pool, operated: _rewind(pool, operated, shard, offset)):
            typer.echo(f"shard {shard} has no checkpoint yet", err=True)
            sys.exit(1)
        typer.echo(f"the partition of shard {shard} will be read again from offset {offset}")

    return projections


def _on_pool(operated: Operated, operation: Callable[[Pool, Operated], Awaitable[T]]) -> T:
    pool_settings = PoolSettings(dsn=operated.dsn, application_name=f"{operated.name}-operator", max_size=1)

    async def operate() -> T:
        async with await open_pool(pool_settings) as pool:
            return await operation(pool, operated)

    return asyncio.run(operate())


async def _status(pool: Pool, operated: Operated) -> tuple[list[ShardStatus], list[ParkedSubject]]:
    async with pool.connection() as connection:
        shards = await operations.status(connection, operated.name)
        return shards, await operations.parked_subjects(connection, operated.name)


async def _unpark(pool: Pool, operated: Operated, subject: UUID) -> Unparked:
    async with operated.open_projection() as projection:
        return await unpark_subject(pool, projection, subject, brokers=operated.brokers)


async def _rewind(pool: Pool, operated: Operated, shard: int, offset: int) -> bool:
    async with pool.connection() as connection:
        return await operations.rewind(connection, operated.name, shard, offset=offset)


def _show_status(shards: Sequence[ShardStatus], parked: Sequence[ParkedSubject]) -> None:
    console, table = Console(), Table("shard", "last seq", "partition", "offset", "lag ms", "stopped")
    for shard in shards:
        places = (shard.shard, shard.last_seq, shard.partition, shard.offset, shard.lag_ms)
        table.add_row(*map(str, places), shard.stopped)
    console.print(table)
    subjects = Table("parked subject", "shard", "since seq", "events", "parked at", "reason")
    for subject in parked:
        facts = (subject.subject, subject.shard, subject.seq, subject.events, subject.parked_at, subject.reason)
        subjects.add_row(*map(str, facts))
    console.print(subjects)
