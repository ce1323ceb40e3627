"""Commits of this checkout: found by name, built in a worktree with an environment of its own."""

import asyncio
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import psutil

from engines import checkout
from engines.daemon import Command
from local_stack.services import ProcessType, Service
from local_stack.supervisor import run_once
from release.errors import ReleaseFailed

BUILDS: Final = checkout.STATE / "releases"
"""A folder per release: a worktree, kept for the next time."""
BUILDS_MAX: Final = 4
_DECLARATION: Final = (
    "import dataclasses, json\n"
    "from local_stack.services import SERVICES\n"
    "print(json.dumps([dataclasses.asdict(each) for each in SERVICES]))\n"
)


def find(reference: str) -> str:
    """Return the full hash of the commit that *reference* names; raises ReleaseFailed where there is none."""
    done = _git("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
    if done.returncode == 0:
        return done.stdout.strip()
    if _git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        raise ReleaseFailed(
            f"this clone is shallow and has no commit {reference}: `git fetch --unshallow` gets its history"
        )
    raise ReleaseFailed(f"there is no commit {reference} here: name one that `git log` shows, or `git fetch` first")


def name_of(commit: str) -> str:
    """Return how *commit* is called as a release."""
    return commit[: checkout.RELEASE_DIGITS]


def folder_of(name: str) -> Path:
    """Return where the release *name* is built."""
    return BUILDS / name


def build(commit: str) -> None:
    """Make a worktree of *commit* and its environment, or finish what was begun; raises ReleaseFailed, StackError.

    Of the others BUILDS_MAX are kept, the newest, and those from which a process runs.
    """
    root = folder_of(name_of(commit))
    _forget_old_ones(root)
    if not _is_at(root, commit):
        shutil.rmtree(root, ignore_errors=True)
        _git("worktree", "prune")
        done = _git("worktree", "add", "--detach", "--force", str(root), commit)
        if done.returncode != 0:
            raise ReleaseFailed(f"no worktree of {commit} could be made: {done.stderr.strip()}")
    _git("reset", "--hard", "--quiet", root=root)  # what a killed command left half
    tools = checkout.STATE / "tools" / "bin"
    environment = {"PATH": f"{os.environ['PATH']}:{tools}", "MAKEFLAGS": "", "PYTHON": sys.executable}
    log = root / ".local" / "setup.log"
    asyncio.run(run_once(Command(name="setup", argv=("make", "setup"), log=log, cwd=root, env=environment)))


def _forget_old_ones(building: Path) -> None:
    others = [each for each in BUILDS.glob("*") if each != building]
    old = sorted(others, key=lambda each: each.stat().st_mtime, reverse=True)[BUILDS_MAX:]
    if old:
        used = {each.info["cwd"] for each in psutil.process_iter(["cwd"])}
        for each in old:
            if str(each) not in used:
                shutil.rmtree(each, ignore_errors=True)


def paths(commit: str) -> list[str]:
    """Return the paths of all files of *commit*."""
    return _git("ls-tree", "-r", "--name-only", commit).stdout.splitlines()


def content(commit: str, path: str) -> bytes:
    """Return what is in a file of *commit*, of text."""
    return _git("show", f"{commit}:{path}").stdout.encode()


def _is_at(root: Path, commit: str) -> bool:
    return (root / ".git").exists() and _git("rev-parse", "HEAD", root=root).stdout.strip() == commit


def declared(name: str) -> tuple[Service, ...]:
    """Return the services of the release *name*, as its own Python declares them; raises ReleaseFailed."""
    python = folder_of(name) / ".venv" / "bin" / "python"
    try:
        done = subprocess.run(
            [python, "-c", _DECLARATION], capture_output=True, text=True, check=False, cwd=folder_of(name)
        )
    except FileNotFoundError:
        raise ReleaseFailed(f"{folder_of(name)} is not built: deploy the release again") from None
    if done.returncode != 0:
        raise ReleaseFailed(f"{name} does not declare its services: {done.stderr.strip()}")
    return tuple(_service(each) for each in json.loads(done.stdout))


def _service(told: dict[str, Any]) -> Service:
    """Return what is known here of a service as another release declares it."""
    processes = tuple(ProcessType(**_known(ProcessType, each)) for each in told["processes"])
    return Service(**{**_known(Service, told), "processes": processes})


def _known(kind: type, told: dict[str, Any]) -> dict[str, Any]:
    names = {each.name for each in dataclasses.fields(kind)}
    return {name: _frozen(value) for name, value in told.items() if name in names}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _git(*words: str, root: Path = checkout.ROOT) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ReleaseFailed("a release is a commit of git: install git") from None
