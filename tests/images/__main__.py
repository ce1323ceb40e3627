"""`make images`: build every image and run docker-compose.yml, with Docker, else with podman and no registry."""

import os
import shutil
import sys
import time
from typing import Annotated

import typer
from tests.images import assertions, base
from tests.images.composed import Composed
from tests.images.docker import docker_answers, serve_with_docker
from tests.images.podman import Podman

from engines import checkout
from engines.errors import EngineError

ONCE = ("kafka-agent", "topics")
FIRST = ("postgres", "kafka")


def main(
    *, keep: Annotated[bool, typer.Option("--keep", help="Leave podman's containers running at the end.")] = False
) -> None:
    """Build every image, run every service of docker-compose.yml that can be had, and try what they promise.

    Where a Docker engine answers, with the official images. Else as root on Debian with podman, without a registry.
    """
    try:
        if docker_answers():
            serve_with_docker()
        else:
            _serve_with_podman(keep=keep)
    except (EngineError, AssertionError) as error:
        print(f"images: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


def _serve_with_podman(*, keep: bool) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise EngineError(
            "no Docker engine answers, and podman is used as root on Debian alone: start Docker, or become root"
        )
    began_s = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began_s:6.1f} s  {what}", flush=True)

    podman = Podman(checkout.CACHE / "containers")
    podman.prepare()
    base.ensure_base(podman)
    tell(f"base {base.name_of_base()}")
    composed = Composed(podman)
    composed.build(lambda tag: tell(f"built {tag}"))
    composed.down()
    try:
        start(composed, tell)
        assertions.hold(composed, tell)
    finally:
        if not keep:
            composed.down()
    tell("all of it holds")
    print(f"left out, for want of their programs here: {', '.join(composed.left_out)}", flush=True)


def start(composed: Composed, tell: assertions.Tell) -> None:
    """Start the services in phases, each when what it depends on is ready: podman-compose does not wait for that."""
    names = [name for name in composed.services if name not in composed.left_out]
    migrations = [name for name in names if name.endswith("-migrate")]
    rest = [name for name in names if name not in {*ONCE, *FIRST, *migrations, "gateway"}]
    for phase, is_once in (
        (ONCE[:1], True),
        (FIRST, False),
        ((*ONCE[1:], *migrations), True),
        (rest, False),
        (("gateway",), False),
    ):
        composed.up(phase)
        if is_once:
            composed.wait_ended(phase)
        else:
            composed.wait_healthy(phase)
        tell(f"up: {', '.join(phase)}")


if __name__ == "__main__":
    typer.run(main)
