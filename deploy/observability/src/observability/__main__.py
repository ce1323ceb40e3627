"""`python -m observability`: its commands."""

from pathlib import Path
from typing import Annotated

import typer

from observability.rules import rule_files

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Take a command."""


@app.command()
def rules(
    out: Annotated[Path, typer.Option(help="The folder to write to; files of rules that are there are replaced.")],
    divide: Annotated[
        int, typer.Option(min=1, max=3600, help="Divide windows, intervals and `for`s: alerts come sooner, in drills.")
    ] = 1,
) -> None:
    """Write the recording rules and the alerts as rule files of Prometheus."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in rule_files(divide).items():
        (out / name).write_text(text)


if __name__ == "__main__":
    app()
