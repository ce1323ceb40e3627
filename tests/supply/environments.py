"""The environment of each image, made as its Dockerfile makes it, and what is installed there."""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name
from tests.images.first_stage import Build, clean_environment, stages
from tests.supply.listing import Archive, Installed, Listing

from engines import checkout
from engines.errors import EngineError
from local_stack.services import SERVICES

LOCKS: Final = checkout.ROOT / "deploy" / "images"
RESOLVED_WITHIN_S: Final = 300


def environments(folder: Path) -> Iterator[tuple[str, Listing, Mapping[str, Installed]]]:
    """Give each image with the list that its own build makes, and what is installed in it.

    Raises AssertionError with what the build printed where a line of the Dockerfile fails.
    """
    shared, own, _ = stages()
    build = Build(folder, clean_environment(folder), {})
    build.execute(shared)
    for service in SERVICES:
        build.arguments["SERVICE"] = service.slug
        build.execute(own)
        listing = json.loads((folder / "app" / "sbom.cdx.json").read_text())
        yield service.slug, listing, installed_in(folder / "app" / ".venv")


def installed_in(environment: Path) -> dict[str, Installed]:
    """Return each distribution in *environment*, by its canonical name."""
    (packages,) = environment.glob("lib/python*/site-packages")
    found = importlib.metadata.distributions(path=[str(packages)])
    return {str(canonicalize_name(each.name)): Installed(each.version, each.metadata["License"]) for each in found}


def archives_of(image: str) -> dict[str, Archive]:
    """Return the archive of each package of *image*'s lock that this Python takes. Raises EngineError."""
    argv = [
        sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps",
        "--require-hashes", "--requirement", str(LOCKS / f"{image}.lock"), "--report", "-",
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=RESOLVED_WITHIN_S)
    if done.returncode != 0:
        raise EngineError(f"the archives of {image}.lock cannot be looked up: {done.stderr.strip()[-1000:]}")
    return {
        str(canonicalize_name(each["metadata"]["name"])): Archive(
            each["metadata"]["version"], each["download_info"]["archive_info"]["hashes"]["sha256"]
        )
        for each in json.loads(done.stdout)["install"]
    }
