"""Processes of the product, forked from a server that has their code imported already.

A run starts up to fourteen of them, and importing alone costs each two seconds of a core. What then runs is what
`python -m MODULE WORDS` runs, in a session of its own and with a log of its own.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from engines import tether
from engines.daemon import log_tail
from engines.errors import EngineError

POLL_S = 0.02
STOPPED_WITHIN_S = 30.0
REAPED_WITHIN_S = 30.0
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["tests.chaos.platform.product", "wallet.bootstrap.api", "wallet.bootstrap.operating", "servicekit.cli"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run: `python -m` these *words*, where, and with what besides the environment."""

    words: tuple[str, ...]
    log: Path
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)


class Forked:
    """A program that is started, told to stop, killed and started again; not thread-safe."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: ForkServerProcess | None = None

    @property
    def pid(self) -> int:
        """The pid of the process, also of one that is dead already; an error where none was started."""
        assert self._process is not None, f"{self.program.words} does not run"
        pid = self._process.pid
        assert pid is not None, "a started process has its pid"
        return pid

    def start(self, is_ready: Callable[[], bool], *, within_s: float) -> None:
        """Start and wait until it is ready; EngineError with the end of its log when it is not in time."""
        self._fork()
        until_s = time.monotonic() + within_s
        while not is_ready():
            if self._has_ended() or time.monotonic() > until_s:
                self.kill()
                raise EngineError(f"{self.program.words} is not ready:\n{log_tail(self.program.log)}")
            time.sleep(POLL_S)

    def run(self, *, within_s: float) -> int | None:
        """Start, wait until it has ended, and return its exit code; kill it where that takes longer."""
        process = self._fork()
        process.join(within_s)
        code = process.exitcode
        self.kill()
        return code

    def stop(self) -> None:
        """Ask it to end and wait; kill it when it takes longer. Does nothing when it does not run."""
        if self._process is not None and not self._has_ended():
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)
            self._process.join(STOPPED_WITHIN_S)
        self.kill()

    def kill(self) -> None:
        """Kill -9 it and wait until it is gone. Does nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.join(REAPED_WITHIN_S)
            self._process = None

    def _fork(self) -> ForkServerProcess:
        assert self._process is None, f"{self.program.words} was started twice"
        self._process = _SERVER.Process(target=_become, args=(self.program,))
        self._process.start()
        return self._process

    def _has_ended(self) -> bool:
        return self._process is None or not self._process.is_alive()


def _become(program: Program) -> None:
    """Be the program, in the process just forked."""
    os.setsid()
    tether.end_with_parent(signal.SIGKILL)
    with program.log.open("ab") as log:
        for standard in (1, 2):
            os.dup2(log.fileno(), standard)
    os.chdir(program.cwd)
    os.environ.update(program.env)
    module, *words = program.words
    sys.argv = [module, *words]
    print(tether.start_line(os.getpid()), flush=True)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
