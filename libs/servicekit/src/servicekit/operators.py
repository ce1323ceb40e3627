"""What commands have in common that change something: a dry run, and a question before anything is destroyed."""

import sys
from typing import Annotated, TypeAlias

import typer

DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and change nothing.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask *question* unless *yes*; end the command with exit code 1 where the answer is no, or nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        typer.echo(f"{question} Nobody can be asked here: say --yes if it is meant. Nothing was changed.", err=True)
        raise typer.Exit(1)
    if not typer.confirm(question):
        typer.echo("nothing was changed", err=True)
        raise typer.Exit(1)
