"""Programs that no Python wheel brings: those of the machine, else those of Debian's packages."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from engines import checkout, locks
from engines.errors import EngineError

INSTALLED_WITHIN_S: Final = 600.0  # over a slow line
_APT: Final = "apt-get"


def find_program(name: str, package: str, *, besides: Sequence[str] = ()) -> str:
    """Return the path of the program *name*; on Debian or Ubuntu root has *package* installed, which brings it.

    *besides* are packages that *package* only recommends, and that are needed here.

    Raises EngineError, with a sentence that says what to install, where it is missing and cannot be had.
    """
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which(_APT) is not None:
        with locks.waiting(checkout.CACHE / "apt.lock"):  # two processes of one test run may miss the same
            if shutil.which(name) is None:
                _install(package, *besides)
        found = shutil.which(name)
    if found is None:
        wanted = " ".join((package, *besides))
        raise EngineError(
            f"the program {name} is missing: install the package `{package}` "
            f"(for example `sudo apt-get install {wanted}`) and run this again."
        )
    return found


def _install(*packages: str) -> None:
    print(f"{packages[0]} is missing: installing it with apt-get install {' '.join(packages)}", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [_APT, "install", "--yes", "--no-install-recommends", *packages]
    for argv in ([_APT, "update"], install):
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, env=env, timeout=INSTALLED_WITHIN_S
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(
                f"`{' '.join(argv)}` took more than {INSTALLED_WITHIN_S:.0f} s: run it yourself"
            ) from error
        if done.returncode != 0:
            raise EngineError(f"`{' '.join(argv)}` failed:\n{done.stderr}")
