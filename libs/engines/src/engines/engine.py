"""What PostgreSQL and Kafka have in common: a folder, a port, a log, and one process that serves from them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from engines.daemon import Command, Daemon


@dataclass(kw_only=True, slots=True)
class Engine(ABC):
    """One server: its folder (made at the first start), its port, and its process."""

    ready_within_s: ClassVar[float]

    folder: Path
    port: int
    log: Path
    _daemon: Daemon | None = None

    @property
    def daemon(self) -> Daemon:
        """The process: `pid`, `kill()` (kill -9, children too), `pause()`, `resume()`."""
        if self._daemon is None:
            self._daemon = Daemon(self.command(), is_ready=self.is_ready, ready_within_s=self.ready_within_s)
        return self._daemon

    @property
    def data(self) -> Path:
        """The engine's own folder."""
        return self.folder / "data"

    def start(self) -> None:
        """Make the data folder if there is none, start, and wait until clients are served."""
        self.prepare()
        self.daemon.start()

    def stop(self) -> None:
        """Shut down in order: clients are let go of, everything is on disk."""
        self.daemon.stop()

    def kill(self) -> None:
        """Kill -9 it with its children; `start` brings it back on the same port and data."""
        self.daemon.kill()

    @abstractmethod
    def prepare(self) -> None:
        """Make what `command` needs. Not while it runs."""

    @abstractmethod
    def command(self) -> Command:
        """Return how it is run."""

    @abstractmethod
    def is_ready(self, pid: int) -> bool:
        """Return whether the process with this pid serves."""
