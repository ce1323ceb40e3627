"""Programs that Debian has packages of, installed where that is possible without asking."""

import os
import shutil
import subprocess

from engines.errors import EngineError


def find_program(name: str, package: str) -> str:
    """Return the program *name*; on Debian or Ubuntu as root install *package*, elsewhere raise EngineError."""
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        _install(name, package)
        found = shutil.which(name)
    if found is None:
        raise EngineError(
            f"{name} is missing: install the package `{package}` (for example `sudo apt-get install {package}`) "
            "and run this again."
        )
    return found


def _install(name: str, package: str) -> None:
    print(f"{name} is missing: installing it with apt-get install {package}", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    for argv in (["apt-get", "update"], install):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
        if done.returncode != 0:
            raise EngineError(f"`{' '.join(argv)}` failed:\n{done.stderr}")
