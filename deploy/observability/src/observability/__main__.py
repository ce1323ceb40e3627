"""`python -m observability`: its commands."""

import typer

from observability.catalogue import catalogue
from observability.metrics_page import metrics_page

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Take a command."""


@app.command("metrics-page")
def show_metrics_page() -> None:
    """Print the page of every metric, `docs/metrics.md`."""
    typer.echo(metrics_page(catalogue(), lambda _name: ()), nl=False)


if __name__ == "__main__":
    app()
