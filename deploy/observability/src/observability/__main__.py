"""`python -m observability`: its commands."""

from pathlib import Path
from typing import Annotated

import typer

from observability import alertmanager
from observability.rules import RULES, rule_files

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Take a command."""


@app.command()
def rules(
    out: Annotated[
        Path, typer.Option(help="The folder to write to; a file of the same name there is replaced.")
    ] = RULES,
    divide: Annotated[
        int, typer.Option(min=1, max=3600, help="Divide windows, intervals and `for`s: alerts come sooner, in drills.")
    ] = 1,
) -> None:
    """Write the recording rules and the alerts as rule files of Prometheus."""
    if divide > 1 and out == RULES:
        print("The repository's rules are not divided: name another folder with --out.")
        raise typer.Exit(1)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in rule_files(divide).items():
        (out / name).write_text(text)


@app.command(name="alertmanager")
def print_alertmanager(
    page_url: Annotated[str, typer.Option(help="Where pages go, as webhooks.")] = alertmanager.PAGE_URL,
    ticket_url: Annotated[str, typer.Option(help="Where tickets go, as webhooks.")] = alertmanager.TICKET_URL,
) -> None:
    """Print the configuration of Alertmanager."""
    print(alertmanager.render(page_url, ticket_url), end="")


if __name__ == "__main__":
    app()
