"""docker-compose.yml under podman: its images, its services in phases, its containers."""

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from tests.images import stand_ins
from tests.images.podman import Podman

from engines import checkout, ports
from engines.errors import EngineError

FILE: Final = checkout.ROOT / "docker-compose.yml"
PROJECT: Final = "wallet-platform-images"
NETWORK: Final = f"{PROJECT}_default"
RESOLVER: Final = "172.30.99.1"
"""Where podman answers names, on the network that the file declares."""
HEALTHY_S_MAX: Final = 120.0
ENDED_S_MAX: Final = 120.0
STARTED_S_MAX: Final = 240.0
LOOK_EVERY_S: Final = 0.5
NAMES_EVERY_S: Final = 10.0
"""Of a container that is not healthy by then names may not be found."""
ATTEMPTS_MAX: Final = 5
"""Of a container that runs once: the first look-up of a name may fail."""
# Webhooks go to the worker's own address, where a receiver stands beside it.
_OVERRIDE: Final = {
    "services": {
        name: {"environment": {"NOTIFICATIONS_ALLOW_LOOPBACK": "true"}}
        for name in ("notifications-api", "notifications-worker")
    }
}


def until(satisfied: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Ask *satisfied* again and again; raises EngineError, with *what*, where it does not come true in time."""
    deadline_s = time.monotonic() + within_s
    while not satisfied():
        if time.monotonic() > deadline_s:
            raise EngineError(f"{what} within {within_s:.0f} s")
        time.sleep(LOOK_EVERY_S)


@dataclass(slots=True)
class Composed:
    """The services of the file."""

    podman: Podman
    services: dict[str, Any] = field(init=False)
    settings: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        text = FILE.read_text()
        self.services = yaml.safe_load(text)["services"]
        published = sorted(set(re.findall(r"\$\{(\w+_PORT):-\d+\}:", text)))
        self.settings = dict(zip(published, map(str, ports.free_ports(len(published))), strict=True))
        self.settings["GATEWAY_NAMESERVER"] = RESOLVER

    @property
    def left_out(self) -> list[str]:
        """Services of images that nothing here can stand in for."""
        stood_in = {each.image for each in stand_ins.STAND_INS}
        return [name for name, each in self.services.items() if "build" not in each and _image(each) not in stood_in]

    def build(self, built: Callable[[str], None]) -> None:
        """Build every image; *built* is told of each. Raises EngineError."""
        tags = {_image(each): each["image"] for each in self.services.values()}
        for stand_in in stand_ins.STAND_INS:
            stand_ins.build(self.podman, stand_in, tag=tags[stand_in.image])
            built(tags[stand_in.image])
        own = {each["image"]: each["build"] for each in self.services.values() if "build" in each}
        for tag, build in own.items():
            arguments = {"SERVICE": build["args"]["SERVICE"], "VERSION": "1.2.3", "REVISION": "abc", "SOURCE": "here"}
            dockerfile = checkout.ROOT / build["dockerfile"]
            self.podman.build(tag, context=checkout.ROOT, dockerfile=dockerfile, arguments=arguments)
            built(tag)

    def up(self, names: Sequence[str]) -> None:
        """Start the services *names*, and nothing that they depend on. Raises EngineError."""
        self._compose("up", "--detach", "--no-deps", "--no-build", "--pull", "never", *names)
        self._have_names_read()

    def down(self) -> None:
        """Remove the project's containers, network and volumes."""
        self._compose("down", "--volumes", "--timeout", "30")

    def _compose(self, *arguments: str) -> None:
        override = self.podman.folder / "override.yml"
        override.write_text(yaml.safe_dump(_OVERRIDE))
        program = str(Path(sys.executable).with_name("podman-compose"))
        options = ("--in-pod", "false", "--project-name", PROJECT, "--file", str(FILE), "--file", str(override))
        done = self.podman.ran([program, *options, *arguments], within_s=STARTED_S_MAX, environment=self.settings)
        if done.returncode != 0:
            raise EngineError(f"podman-compose {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")

    def containers(self, name: str) -> list[str]:
        """Return the names of the containers of the service *name*."""
        labels = (f"label=io.podman.compose.project={PROJECT}", f"label=com.docker.compose.service={name}")
        told = self.podman.run("ps", "--all", *(f"--filter={each}" for each in labels), "--format", "{{.Names}}")
        return sorted(told.split())

    def wait_ended(self, names: Iterable[str]) -> None:
        """Wait until each of *names* has ended with 0, started again where it has not. Raises EngineError."""
        for (container,) in map(self.containers, names):
            for attempt in range(1, ATTEMPTS_MAX + 1):
                status = self.podman.run("wait", container, within_s=ENDED_S_MAX)
                if status == "0":
                    break
                if attempt == ATTEMPTS_MAX:
                    raise EngineError(f"{container} ended with {status}:\n{self.logs(container)}")
                self.podman.run("start", container)

    def wait_healthy(self, names: Iterable[str]) -> None:
        """Wait until the checks of all containers of *names* that have one pass. Raises EngineError."""
        for name in names:
            for container in self.containers(name):
                if "healthcheck" in self.services[name]:
                    self._wait_healthy(container)

    def _wait_healthy(self, container: str) -> None:
        looked_s = time.monotonic()

        def passes() -> bool:
            nonlocal looked_s
            if self.podman.tried("healthcheck", "run", container).returncode == 0:
                return True
            if time.monotonic() - looked_s > NAMES_EVERY_S:
                self._have_names_read()
                looked_s = time.monotonic()
            return False

        try:
            until(passes, within_s=HEALTHY_S_MAX, what=f"{container} did not become healthy")
        except EngineError as error:
            raise EngineError(f"{error}:\n{self.logs(container)}") from error

    def _have_names_read(self) -> None:
        """Have podman's name server read again who is on the network, or start where it has ended.

        It may read while several containers are added at once, and it ends with the network's last container, maybe
        just when another comes. One more container makes up for both.
        """
        self.podman.run("run", "--rm", "--network", NETWORK, "--entrypoint", "true", self.services["postgres"]["image"])

    def logs(self, container: str) -> str:
        """Return the last lines that *container* wrote."""
        told = self.podman.tried("logs", "--tail", "30", container)
        return told.stdout + told.stderr


def _image(service: dict[str, Any]) -> str:
    return str(service["image"]).partition(":")[0]
