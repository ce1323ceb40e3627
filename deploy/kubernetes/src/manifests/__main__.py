"""`python -m manifests files`: make the parts of `deploy/kubernetes` that follow from what the stack declares."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from engines import checkout
from gateway.documents import documented_routes
from local_stack.services import SERVICES
from manifests.edges import edges, scraping
from manifests.gateway_pods import gateway_objects, http_routes
from manifests.platform import PHASES, Document
from manifests.workloads import job, objects_of

FOLDER: Final = checkout.ROOT / "deploy" / "kubernetes"
_MADE: Final = "# Made by `python -m manifests files` of what the stack declares: change that.\n"

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Take a command."""


@app.command()
def files(folder: Annotated[Path, typer.Option(help="Where base, migrate and components stand.")] = FOLDER) -> None:
    """Write the Deployments, Services, Jobs, policies and routes beside the files that are written by hand."""
    for name, text in made().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def made() -> Mapping[str, str]:
    """Return the files that are made, by their paths below the folder."""
    return {
        **{f"base/{service.slug}.yaml": _rendered(objects_of(service)) for service in SERVICES},
        "base/gateway.yaml": _rendered(gateway_objects()),
        "base/shared/edges.yaml": _rendered(edges()),
        **{f"migrate/{phase}/jobs.yaml": _rendered(job(service, phase) for service in SERVICES) for phase in PHASES},
        "components/monitoring/edges.yaml": _rendered(scraping()),
        "components/gateway-api/routes.yaml": _rendered(http_routes(documented_routes())),
    }


class _Whole(yaml.SafeDumper):
    """Writes what is the same twice, twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the base class's signature
        """Return that nothing is written as a reference."""
        return True


def _rendered(objects: Iterable[Document]) -> str:
    return _MADE + yaml.dump_all(objects, Dumper=_Whole, sort_keys=False, width=120)


if __name__ == "__main__":
    app()
