"""Prometheus, Alertmanager and exporters, of Debian's packages, on the loopback address."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engines import debian
from engines.daemon import Command
from engines.engine import Engine
from engines.errors import EngineError
from engines.ports import LOOPBACK

READY_WITHIN_S: Final = 30.0
RETENTION: Final = "1GB"
"""What Prometheus keeps on disk at most."""
PROGRAMS: Final = ("prometheus", "prometheus-alertmanager", "prometheus-postgres-exporter", "prometheus-node-exporter")
"""What is run here; the packages are named as the programs are."""
_ANSWER_WITHIN_S: Final = 5.0
_ANSWER_BYTES_MAX: Final = 64 * 1024
_READY: Final = "/-/ready"


def find_programs() -> None:
    """Have all of `PROGRAMS` at hand; raises EngineError where one is missing and cannot be had."""
    for name in PROGRAMS:
        _find(name)


def _find(name: str) -> str:
    return debian.find_program(name, name)


def ask(port: int, path: str, *, method: str = "GET") -> tuple[int, str]:
    """Return the status of the answer to *path* on *port*, and how it begins; raises OSError where there is none."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_WITHIN_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read(_ANSWER_BYTES_MAX).decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP on port {port}: {error}") from error
    finally:
        connection.close()


def answers(port: int, path: str) -> bool:
    """Return whether *path* is answered 200 on *port*."""
    try:
        return ask(port, path)[0] == http.client.OK
    except OSError:
        return False


@dataclass(kw_only=True, slots=True)
class Exporter(Engine):
    """A program that answers figures on its port. It is run as *argv* says, its secrets stand in *env*."""

    ready_within_s = READY_WITHIN_S

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        """Return how it is run."""
        return Command(name=self.name, argv=self.argv, log=self.log, cwd=self.folder, env=self.env)

    def is_ready(self, _pid: int) -> bool:
        """Return whether it answers."""
        return answers(self.port, "/")


@dataclass(kw_only=True, slots=True)
class _Configured(Engine):
    """A server that reads the file *config* when it starts and when it is told to."""

    ready_within_s = READY_WITHIN_S

    config: Path

    def prepare(self) -> None:
        """Make the data folder."""
        self.data.mkdir(parents=True, exist_ok=True)

    def is_ready(self, _pid: int) -> bool:
        """Return whether it serves."""
        return answers(self.port, _READY)

    def reload(self) -> None:
        """Have *config* read again. Raises EngineError where it is refused: what was read before stays in force."""
        status, told = ask(self.port, "/-/reload", method="POST")
        if status != http.client.OK:
            raise EngineError(f"{self.config} is not taken: {told.strip()}")


@dataclass(kw_only=True, slots=True)
class Prometheus(_Configured):
    """Scrapes what *config* says, keeps exemplars too, and no more than 1 GB on disk."""

    def command(self) -> Command:
        """Return how it is run."""
        argv = (
            _find("prometheus"),
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.data}",
            f"--storage.tsdb.retention.size={RETENTION}",
            f"--web.listen-address={LOOPBACK}:{self.port}",
            "--web.enable-lifecycle",  # for `reload`, which then tells whether the file was taken
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        )
        return Command(name="prometheus", argv=argv, log=self.log, cwd=self.folder)


@dataclass(kw_only=True, slots=True)
class Alertmanager(_Configured):
    """Groups, routes and sends on what Prometheus fires, alone: it looks for no others of its kind."""

    def command(self) -> Command:
        """Return how it is run."""
        argv = (
            _find("prometheus-alertmanager"),
            f"--config.file={self.config}",
            f"--storage.path={self.data}",
            f"--web.listen-address={LOOPBACK}:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        )
        return Command(name="alertmanager", argv=argv, log=self.log, cwd=self.folder)


def postgres_exporter(*, folder: Path, port: int, log: Path, dsn: str, queries: Path) -> Exporter:
    """Return what answers the figures of every database of a server.

    *dsn* is the address of a role that may see them (`pg_monitor`) in the database `postgres`, *queries* a file with
    questions of our own.
    """
    argv = (
        _find("prometheus-postgres-exporter"),
        f"--web.listen-address={LOOPBACK}:{port}",
        "--no-collector.bgwriter",  # it asks for columns that PostgreSQL 17 has moved
        "--auto-discover-databases",
        f"--extend.query-path={queries}",
        "--log.level=warn",
    )
    return Exporter(
        folder=folder, port=port, log=log, name="postgres-exporter", argv=argv, env={"DATA_SOURCE_NAME": dsn}
    )


def node_exporter(*, folder: Path, port: int, log: Path, textfiles: Path) -> Exporter:
    """Return what answers the machine's own figures, and those in files `*.prom` of the folder *textfiles*."""
    collectors = ("cpu", "meminfo", "loadavg", "filefd", "filesystem", "diskstats", "netdev", "textfile")
    textfiles.mkdir(parents=True, exist_ok=True)
    argv = (
        _find("prometheus-node-exporter"),
        f"--web.listen-address={LOOPBACK}:{port}",
        "--collector.disable-defaults",
        *(f"--collector.{each}" for each in collectors),
        f"--collector.textfile.directory={textfiles}",
        "--log.level=warn",
    )
    return Exporter(folder=folder, port=port, log=log, name="node-exporter", argv=argv)
