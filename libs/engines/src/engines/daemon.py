"""One child process under control: start, stop, kill -9, pause. Engines and services are all of this kind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from engines import tether
from engines.accounts import Account
from engines.errors import EngineError

POLL_S = 0.02
LOG_TAIL_LINES = 15
# How long the kernel may take to tear down what SIGKILL has hit: a big shared memory segment takes a moment.
REAP_S_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run, where its output goes, and how it ends."""

    name: str
    argv: tuple[str, ...]
    log: Path
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL


def tethered(command: Command) -> list[str]:
    """Return the argv that runs *command* under its account, and ends it when the calling thread ends."""
    account = command.account or Account(-1, -1)
    program, *arguments = command.argv
    found = shutil.which(program)
    if found is None:
        raise EngineError(f"{command.name} cannot start: there is no program {program}")
    limits = (os.getpid(), int(command.death_signal), account.uid, account.gid)
    return [sys.executable, "-I", "-S", tether.__file__, *map(str, limits), found, *arguments]


def spawn(command: Command) -> subprocess.Popen[bytes]:
    """Start *command* in a session of its own, appending to its log."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log:
        return subprocess.Popen(
            tethered(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=command.cwd,
            env={**os.environ, **command.env},
            start_new_session=True,
        )


def log_tail(log: Path) -> str:
    """Return the last lines of a log, for an error message."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


class Daemon:
    """A command that is started, signalled to stop, killed and started again; not thread-safe."""

    def __init__(self, command: Command, *, is_ready: Callable[[int], bool], ready_within_s: float) -> None:
        """Take the command and a question that says, given its pid, whether it serves."""
        self.command = command
        self._is_ready = is_ready
        self._ready_within_s = ready_within_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the running process; raises EngineError if it is not running."""
        if self._process is None:
            raise EngineError(f"{self.command.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it is ready; EngineError with the end of its log when it is not in time."""
        assert self._process is None, f"{self.command.name} was started twice"
        self._process = spawn(self.command)
        deadline = time.monotonic() + self._ready_within_s
        while not self._is_ready(self._process.pid):
            code = self._process.poll()
            if code is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
                continue
            why = "is not ready in time" if code is None else f"ended with {code}"
            self.kill()
            raise EngineError(f"{self.command.name} {why}:\n{log_tail(self.command.log)}")

    def stop(self, *, within_s: float = 30.0) -> None:
        """Ask it to end and wait; kill it when it takes longer. Does nothing when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(self.command.stop_signal)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill -9 it and all its children, and wait until they are gone. Does nothing when it does not run."""
        if self._process is None:
            return
        family = kill_family(self._process.pid)
        self._process.wait(REAP_S_MAX)
        _wait_until_gone(family)
        self._process = None

    def pids(self) -> list[int]:
        """Return its pid and those of all its children."""
        return [each.pid for each in _family(self.pid)]

    def pause(self) -> None:
        """SIGSTOP it and all its children."""
        for each in _family(self.pid):
            each.suspend()

    def resume(self) -> None:
        """SIGCONT it and all its children."""
        for each in _family(self.pid):
            each.resume()


def kill_family(pid: int) -> list[psutil.Process]:
    """Kill -9 a process and all its children, and return who was hit; the kernel may still be at it."""
    family = _family(pid)
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    return family


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _wait_until_gone(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + REAP_S_MAX
    while any(_lives(each) for each in processes) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _lives(process: psutil.Process) -> bool:
    """Return whether it still holds memory and ports; a zombie waits only for its reaper."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
