"""The base image of the Dockerfile, made of Debian's packages: the same Python, without a registry."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from dockerfile_parse import DockerfileParser
from tests.images.podman import SHOWN_MAX, Podman

from engines import checkout, debian
from engines.errors import EngineError

DOCKERFILE: Final = checkout.ROOT / "deploy" / "images" / "Dockerfile"
BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom this machine trusts: where packages are fetched through a proxy, that one."""
PACKAGES: Final = "python3,python3-venv,python3-pip,ca-certificates"
MADE_WITHIN_S: Final = 600.0


def name_of_base() -> str:
    """Return the one image that the Dockerfile begins its stages with."""
    steps = DockerfileParser(str(DOCKERFILE)).structure
    (name,) = {str(step["value"]).split()[0] for step in steps if str(step["instruction"]).lower() == "from"}
    return name


def ensure_base(podman: Podman) -> None:
    """Make the base unless it is there: two minutes, once. Raises EngineError."""
    name = name_of_base()
    if podman.has(name):
        return
    suite = name.rpartition("-")[2]
    print(f"Making {name} of Debian's packages with debootstrap (once)", flush=True)
    root, packed = podman.folder / "base", podman.folder / "base.tar"
    shutil.rmtree(root, ignore_errors=True)
    program = debian.find_program("debootstrap", "debootstrap")
    _do([program, "--variant=minbase", f"--include={PACKAGES}", suite, str(root)])
    _finish(root)
    _do(["tar", "--create", "--file", str(packed), "--directory", str(root), "."])
    changes = ("CMD python3", f"ENV SSL_CERT_FILE={BUNDLE}")
    podman.run("import", *(f"--change={each}" for each in changes), str(packed), name, within_s=MADE_WITHIN_S)
    shutil.rmtree(root)
    packed.unlink()


def _finish(root: Path) -> None:
    """Make of Debian's Python the official image's: `python`, and a pip that installs."""
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    (root / "usr/bin/python").symlink_to("python3")
    for cached in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / cached, ignore_errors=True)
    if BUNDLE.exists():
        shutil.copy(BUNDLE, root / BUNDLE.relative_to("/"))


def _do(argv: list[str]) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=MADE_WITHIN_S)
    if done.returncode != 0:
        raise EngineError(f"`{' '.join(argv)}` failed:\n{(done.stdout + done.stderr)[-SHOWN_MAX:]}")
