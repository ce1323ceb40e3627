"""The two releases of a move: one that the stack runs by itself, and one that a process of its own runs beside it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Protocol

from engines import checkout, daemon
from local_stack import beside, state
from local_stack.config import Config
from local_stack.processes import Surroundings
from release import commits
from release.domain.moves import Release
from release.errors import ReleaseFailed
from release.platform import Platform

STARTED_WITHIN_S: Final = 30.0
ENDED_WITHIN_S: Final = 90.0
POLL_S: Final = 0.1


class Side(Protocol):
    """A release with its processes."""

    release: Release
    config: Config

    @property
    def found(self) -> Surroundings:
        """What its processes find."""

    @property
    def home(self) -> Path:
        """Where its orders stand."""

    def at_work(self) -> frozenset[str]:
        """Return the names of its processes that run, or are to run."""

    def start(self) -> None:
        """Have all of its processes run; those that do are left alone. Raises ReleaseFailed."""

    def check(self) -> None:
        """Raise ReleaseFailed where what runs it has ended."""

    def rest(self, names: Collection[str]) -> None:
        """Have *names* rest and all others run."""

    def end(self) -> None:
        """Have all of its processes drain and end; raises ReleaseFailed where they do not in time."""


class Own:
    """The release that the stack runs by itself."""

    def __init__(self, release: Release, platform: Platform) -> None:
        self.release = release
        self.config = platform.config
        self._platform = platform

    @property
    def home(self) -> Path:
        return beside.folder(self._platform.folder)

    @property
    def found(self) -> Surroundings:
        return self._platform.surroundings(self.config.services, release=self.release.name, root=checkout.ROOT)

    def at_work(self) -> frozenset[str]:
        told = json.loads(state.description_file(self._platform.folder).read_text())
        return frozenset(name for name in told["processes"] if "@" not in name)

    def start(self) -> None:
        at_hand = checkout.release()
        if not self.release.commit.startswith(at_hand):
            raise ReleaseFailed(
                f"the checkout is at {at_hand}, and the stack ran {self.release.name}: check that out to go back to it"
            )
        self.rest([])

    def check(self) -> None:
        if state.running_pid(self._platform.folder) != self._platform.pid:
            raise ReleaseFailed("the stack has ended meanwhile: start it again")

    def rest(self, names: Collection[str]) -> None:
        beside.write_orders(self.home, names)
        self._platform.look_again()

    def end(self) -> None:
        self.rest(names_of(self.config))
        until(lambda: not self.at_work(), "the stack's own processes to end")


class Beside:
    """A release that is built in a worktree, and run by a process of its own."""

    def __init__(self, release: Release, platform: Platform) -> None:
        self.release = release
        self._platform = platform
        told = {name: value for name, value in platform.config.environment.items() if name != "RELEASE"}
        self.config = Config(told, commits.declared(release.name), port_shift=release.shift)

    @property
    def home(self) -> Path:
        return beside.folder(self._platform.folder) / self.release.name

    @property
    def found(self) -> Surroundings:
        root = commits.folder_of(self.release.name)
        return self._platform.surroundings(self.config.services, release=self.release.name, root=root)

    @property
    def pid(self) -> int | None:
        """The process that runs it."""
        return state.holder(beside.lock_file(self.home))

    def at_work(self) -> frozenset[str]:
        told = {each.release: each for each in beside.running(self._platform.folder)}.get(self.release.name)
        return frozenset() if told is None else frozenset(told.processes)

    def start(self) -> None:
        if self.pid is not None:
            self.rest([])
            return
        self.config.check_ports_of_services()
        self._spawn()

    def _spawn(self) -> None:
        beside.forget_orders(self.home)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        words = (
            "run",
            "--name",
            self.release.name,
            "--commit",
            self.release.commit,
            "--shift",
            str(self.release.shift),
        )
        with self._log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "release", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.config.environment),
                start_new_session=True,
            )
        until(lambda: self.pid is not None or process.poll() is not None, f"{self.release.name} to start")
        self.check()
        process.returncode = 0  # it lives on by intention

    @property
    def _log(self) -> Path:
        return self.home / "run.log"

    def check(self) -> None:
        if self.pid is None:
            raise ReleaseFailed(f"{self.release.name} does not run any more:\n{daemon.log_tail(self._log)}")

    def rest(self, names: Collection[str]) -> None:
        beside.write_orders(self.home, names)
        pid = self.pid
        self.check()
        assert pid is not None, "it was looked at"
        os.kill(pid, beside.LOOK_AGAIN)

    def end(self) -> None:
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not beside.has_ended(self.home, pid):
                raise ReleaseFailed(f"{self.release.name} (pid {pid}) has not ended: see {self._log}")
        self._platform.look_again()


def side_of(release: Release, platform: Platform) -> Side:
    """Return the release with its processes."""
    return Own(release, platform) if release.is_own else Beside(release, platform)


def names_of(config: Config, *, apis: bool = True) -> list[str]:
    """Return the names of all processes, or of those that are no APIs."""
    return [
        each.name for service in config.services for each in config.instances(service) if apis or not each.kind.is_api
    ]


def until(is_so: Callable[[], bool], what: str, within_s: float = ENDED_WITHIN_S) -> None:
    """Wait until *is_so*; raises ReleaseFailed where it is not in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            raise ReleaseFailed(f"waited {within_s:.0f} s for {what}: see `make status` and the logs")
        time.sleep(POLL_S)
