"""`maintenance status | run | pause | resume`, as every service has it that has jobs."""

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from servicekit.failures import OperationalError
from servicekit.maintenance import operations
from servicekit.maintenance.operations import JobError, JobStatus
from servicekit.postgres import Connection, PoolSettings, open_pool

T = TypeVar("T")
_WITHIN_S: Final = 60.0
_Job = Annotated[str, typer.Argument(help="The job's name, as `status` shows it.")]
_Operator = Annotated[str | None, typer.Option(help="Who decides, as it is recorded; the user by default.")]


def add_maintenance(
    cli: typer.Typer, dsn: Callable[[], str], *, process: Callable[[], None] | None = None
) -> typer.Typer:
    """Add `maintenance` to *cli* and return it; *dsn* reads from the settings where the app role reaches the database.

    *process* is what `maintenance` alone runs; without it that shows the help.
    """
    commands = typer.Typer(
        no_args_is_help=process is None,
        invoke_without_command=process is not None,
        help="Show the jobs, and order them." if process is None else "Run the jobs; or show them, and order them.",
    )
    cli.add_typer(commands, name="maintenance")
    if process is not None:
        _run_alone(commands, process)

    @commands.command()
    def status(*, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
        """Show each job: how often it runs, who leads, its last run and who has paused it."""
        jobs = _on_database(dsn, operations.status)
        _print_json(jobs) if as_json else _print_table(jobs)

    @commands.command(name="run")
    def run_job(
        job: _Job,
        operator: _Operator = None,
        within: Annotated[float, typer.Option(min=1, max=3600, help="How many seconds to wait for it.")] = _WITHIN_S,
    ) -> None:
        """Have a job run now, and wait for it; the exit code is 1 if it failed or has not run."""
        by = operator or _user()
        ran = _on_database(dsn, lambda connection: operations.run(connection, job, by, within_s=within))
        failed = "" if ran.error is None else f" ({ran.error}; the log of its process tells more)"
        typer.echo(f"{job}: {ran.outcome}, {ran.rows} rows{failed}")
        sys.exit(0 if ran.error is None else 1)

    @commands.command()
    def pause(job: _Job, operator: _Operator = None) -> None:
        """Have a job rest until it is resumed; a run under way ends with its chunk."""
        by = operator or _user()
        _on_database(dsn, lambda connection: operations.pause(connection, job, by))
        typer.echo(f"{job} is paused")

    @commands.command()
    def resume(job: _Job) -> None:
        """Have a paused job run again, now and every interval."""
        _on_database(dsn, lambda connection: operations.resume(connection, job))
        typer.echo(f"{job} is resumed")

    return commands


def _run_alone(commands: typer.Typer, process: Callable[[], None]) -> None:
    @commands.callback()
    def run_process(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            process()


def _on_database(dsn: Callable[[], str], work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run *work*; what it does not do ends the command with its reason and exit code 1."""
    settings = PoolSettings(dsn=dsn(), application_name="maintenance-operator", max_size=1)

    async def operate() -> T:
        async with await open_pool(settings) as pool, pool.connection() as connection:
            return await work(connection)

    try:
        return asyncio.run(operate())
    except (JobError, OperationalError) as error:
        typer.echo(str(error), err=True)
        sys.exit(1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return f"user {os.getuid()}"


def _print_json(jobs: Sequence[JobStatus]) -> None:
    typer.echo(json.dumps([job._asdict() for job in jobs], default=str, indent=2))


def _print_table(jobs: Sequence[JobStatus]) -> None:
    table = Table("job", "every s", "leader", "last success", "age s", "outcome", "rows", "paused by")
    for job in jobs:
        leader = "each does it" if job.leader is None else job.leader or "nobody"
        success = "" if job.succeeded_at is None else f"{job.succeeded_at:%Y-%m-%d %H:%M:%S}"
        age = "" if job.age_s is None else f"{job.age_s:.0f}"
        outcome = " ".join(filter(None, (job.outcome, job.error)))
        rows = "" if job.rows is None else str(job.rows)
        table.add_row(job.name, f"{job.interval_s:g}", leader, success, age, outcome, rows, job.paused_by or "")
    Console().print(table)
