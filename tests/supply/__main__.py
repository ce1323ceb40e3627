"""What the images are made of: `python -m tests.supply sbom | audit`."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from packaging.utils import canonicalize_name
from tests.supply.auditing import Clean, Unknown, Vulnerable
from tests.supply.environments import LOCKS, archives_of, environments
from tests.supply.listing import complete, unlike_schema, wrong_with
from tests.supply.running import audited

from engines import checkout
from engines.errors import EngineError

LISTS: Final = checkout.STATE / "results" / "sbom"
WRONG: Final = 1
VULNERABLE: Final = 3

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def sbom(
    to: Annotated[Path, typer.Option(help="The folder of the lists, <image>.cdx.json each.")] = LISTS,
) -> None:
    """List the parts of each image (CycloneDX 1.6), in an environment that its Dockerfile's own lines make.

    The exit code is 1, with a sentence for each thing that is wrong, where a distribution is missing or has no version,
    hash or licence, or has a licence that is not allowed. What the base image brings is not in the lists.
    """
    to.mkdir(parents=True, exist_ok=True)
    wrong = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            print("making the environment of each image", flush=True)
            for image, listing, installed in environments(Path(folder)):
                whole = complete(listing, archives_of(image), installed)
                found = (*unlike_schema(whole), *wrong_with(whole, installed, own_packages()))
                wrong += [f"{image}: {each}" for each in found]
                (to / f"{image}.cdx.json").write_text(json.dumps(whole, indent=2) + "\n")
                print(f"{image}: {len(whole['components'])} parts, in {to / f'{image}.cdx.json'}", flush=True)
    except (EngineError, AssertionError) as error:
        print(f"sbom: {error}", file=sys.stderr)
        raise typer.Exit(WRONG) from error
    for sentence in wrong:
        print(f"sbom: {sentence}", file=sys.stderr)
    if wrong:
        raise typer.Exit(WRONG)


def own_packages() -> set[str]:
    """Return the canonical names of the repository's own packages."""
    files = (*checkout.ROOT.glob("libs/*/pyproject.toml"), *checkout.ROOT.glob("services/*/pyproject.toml"))
    return {str(canonicalize_name(file.parent.name)) for file in files}


@app.command()
def audit(
    locks: Annotated[list[Path] | None, typer.Argument(help="The locks; without any, all of the repository.")] = None,
    service: Annotated[str, typer.Option(help="Whose advisories: `pypi` or `osv`.")] = "pypi",
    osv_url: Annotated[str | None, typer.Option(help="Where those of `osv` are asked for.")] = None,
) -> None:
    """Ask of every package in the locks whether it is known to be vulnerable.

    The exit code is 3 where one is, and 1 where one was not looked at, or no service answered: nothing passes unseen.
    """
    judgements = []
    for lock in locks or (checkout.ROOT / "requirements.lock", *sorted(LOCKS.glob("*.lock"))):
        name = lock.name
        judgement = audited(lock, service, osv_url)
        judgements.append(judgement)
        match judgement:
            case Clean(packages):
                print(f"{name}: {packages} packages, none known to be vulnerable", flush=True)
            case Vulnerable(found):
                for sentence in found:
                    print(f"{name}: {sentence}", file=sys.stderr)
            case Unknown(reason):
                print(f"audit: {name} could not be audited whole: {reason}", file=sys.stderr)
                raise typer.Exit(WRONG)
    if any(isinstance(each, Vulnerable) for each in judgements):
        raise typer.Exit(VULNERABLE)


if __name__ == "__main__":
    app()
