"""`python -m gateway files`: make the parts of its configuration that follow from the APIs' documents."""

import typer

from gateway.documents import documented_routes
from gateway.engine import FILES
from gateway.files import answers_file, locations_file, routes_file

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Take a command."""


@app.command()
def files() -> None:
    """Write routes, locations and answers beside the template, of `docs/openapi` and the registry of problems."""
    for name, text in made().items():
        (FILES / name).write_text(text)


def made() -> dict[str, str]:
    """Return the files that are made, by name."""
    routes = documented_routes()
    return {
        "routes.conf": routes_file(routes),
        "locations.conf": locations_file(routes),
        "answers.conf": answers_file(),
    }


if __name__ == "__main__":
    app()
