"""`python -m local_stack up [--detach] | down | status | clean`: what `make up`, `down` and `clean` call."""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console

from contracts.scopes import Kind, UnknownScope
from engines.errors import EngineError
from local_stack import control
from local_stack.config import Config
from local_stack.credentials import LIFETIME_S, LIFETIME_S_MAX, Credentials
from local_stack.errors import StackError
from servicekit.operators import Yes, confirm

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


def environment() -> Mapping[str, str]:
    """Return the variables of this process: the one place where they are read."""
    return dict(os.environ)


@app.command()
def up(*, detach: Annotated[bool, typer.Option(help="Return when everything is ready.")] = False) -> None:
    """Start everything, follow it, and stop it on Ctrl-C."""
    config = Config(environment())
    console = Console()
    if detach:
        control.detach(config, console)
    else:
        asyncio.run(control.follow(config, console))


@app.command()
def down() -> None:
    """Stop the stack that runs, in order."""
    control.down(Config(environment()), Console())


@app.command()
def status() -> None:
    """Show the stack that runs."""
    control.show(Config(environment()), Console())


@app.command()
def clean(*, yes: Yes = False) -> None:
    """Stop the stack and remove its data, its logs and its results."""
    confirm("Stop the stack and remove all of its data?", yes=yes)
    control.clean(Config(environment()), Console())


@app.command()
def token(
    *,
    sub: Annotated[str, typer.Option(help="Whom it is about.")] = "alice",
    owners: Annotated[
        str, typer.Option(help="Owner ids, with commas; none: itself, or for others than users all.")
    ] = "",
    kind: Annotated[Kind, typer.Option(help="What kind of caller.")] = Kind.USER,
    scopes: Annotated[str, typer.Option(help="Names with spaces; none: all that the kind may hold.")] = "",
    ttl: Annotated[int, typer.Option(help="How long it is good, in seconds.", min=1, max=LIFETIME_S_MAX)] = LIFETIME_S,
) -> None:
    """Print a token of the stack's own issuer."""
    named = [each.strip() for each in owners.split(",") if each.strip()] or None
    try:
        print(_credentials().token(sub, kind=kind, owners=named, scopes=scopes, ttl_s=ttl))
    except UnknownScope as error:
        raise StackError(f"there is no scope {error}: docs/scopes.md lists them") from None


@app.command()
def key(*, kind: Annotated[Kind, typer.Option(help="service or operator.")] = Kind.SERVICE) -> None:
    """Print the first key of a kind."""
    print(_credentials().key(kind))


def _credentials() -> Credentials:
    return Credentials(Config(environment()).state)


def main() -> None:
    """Run the program; an error that the reader can mend is printed as one paragraph, without a traceback."""
    try:
        app()
    except (EngineError, StackError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
