"""Podman with settings and a store of its own: nothing of the machine's other containers is seen or changed."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engines import debian
from engines.errors import EngineError

BESIDES: Final = ("runc", "netavark", "aardvark-dns", "catatonit", "iptables")
"""What Debian only recommends beside podman, and is needed here."""
BUILD_S_MAX: Final = 300.0
RUN_S_MAX: Final = 60.0
SHOWN_MAX: Final = 4_000
# runc: crun refuses machines with both versions of cgroups. Files: there may be no journal. Locks of our own: those in
# memory would be shared with the machine's other containers. Limits: within those of any shell.
_CONTAINERS: Final = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[network]
network_config_dir = "{folder}/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{folder}/tmp"
"""
_STORAGE: Final = """\
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
_REGISTRIES: Final = """\
unqualified-search-registries = ["localhost"]
short-name-mode = "disabled"
"""


@dataclass(frozen=True, slots=True)
class Podman:
    """Podman below *folder*."""

    folder: Path

    def prepare(self) -> None:
        """Have podman at hand, and write its settings. Raises EngineError."""
        debian.find_program("podman", "podman", besides=BESIDES)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("containers", _CONTAINERS), ("storage", _STORAGE), ("registries", _REGISTRIES)):
            (self.folder / f"{name}.conf").write_text(text.format(folder=self.folder))

    @property
    def environment(self) -> Mapping[str, str]:
        """What podman, and who calls it, is given."""
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
        }

    def tried(self, *arguments: str, within_s: float = RUN_S_MAX) -> subprocess.CompletedProcess[str]:
        """Run podman; return how it ended. Raises EngineError where it does not end."""
        return self.ran(["podman", *arguments], within_s=within_s)

    def ran(
        self, argv: Sequence[str], *, within_s: float, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run *argv*, which calls podman, with *environment* besides; return how it ended. Raises EngineError."""
        try:
            return subprocess.run(
                argv,
                check=False,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=within_s,
                env={**self.environment, **(environment or {})},
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"`{' '.join(argv)}` took more than {within_s:.0f} s") from error

    def run(self, *arguments: str, within_s: float = RUN_S_MAX) -> str:
        """Run podman; return what it printed. Raises EngineError where it fails."""
        done = self.tried(*arguments, within_s=within_s)
        if done.returncode != 0:
            raise EngineError(f"`podman {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr)[-SHOWN_MAX:]}")
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        """Return whether *image* is in the store."""
        return self.tried("image", "exists", image).returncode == 0

    def build(self, tag: str, *, context: Path, dockerfile: Path, arguments: Mapping[str, str] | None = None) -> None:
        """Build *dockerfile* over *context* as *tag*; the machine's network is used, and no registry."""
        args = [part for name, value in (arguments or {}).items() for part in ("--build-arg", f"{name}={value}")]
        options = ("--network", "host", "--pull=never", "--format", "docker", "--tag", tag, "--file", str(dockerfile))
        self.run("build", *options, *args, str(context), within_s=BUILD_S_MAX)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what podman tells of a container or an image."""
        told: list[dict[str, Any]] = json.loads(self.run("inspect", name))
        return told[0]
