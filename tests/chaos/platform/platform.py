"""The platform under test: real engines and processes in a run folder, on free ports, ended by their pids."""

import asyncio
import contextlib
import functools
import itertools
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import asyncpg
from tests.chaos.platform.forked import Forked, Program
from tests.chaos.platform.gate import GATES, Gate
from tests.chaos.platform.plant import Plant
from tests.chaos.platform.product import (
    APIS,
    CORE,
    PROCESSES,
    SETTINGS,
    SOURCES,
    Consumer,
    consumers_of,
    services_of,
    topics_of,
)

from contracts.topics import Topic
from engines import temporary, topics
from engines.kafka import KafkaBroker
from engines.ports import LOOPBACK, free_ports
from engines.postgres import PostgresServer
from servicekit.postgres import DRIVER_ERRORS
from testkit.databases import Database, Server, TemplateDatabase, migrated_template

ROOT = Path(__file__).resolve().parents[3]
READY_WITHIN_S = 120.0
KEEPERS = 16
PROBE_S = 2.0

T = TypeVar("T")
Connections = Mapping[str, asyncpg.Connection]
"""By service."""


@dataclass(frozen=True, slots=True)
class Site:
    """What all runs of one invocation share: the folder, PostgreSQL with its templates, and who starts processes."""

    folder: Path
    postgres: PostgresServer
    templates: Mapping[str, TemplateDatabase]
    keepers: ThreadPoolExecutor

    async def keep(self, call: Callable[[], T]) -> T:
        """Run *call* in a thread that lives on: a process ends with the thread that started it."""
        return await asyncio.get_running_loop().run_in_executor(self.keepers, call)


@contextlib.contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """Start PostgreSQL, durable as in production, and end it afterwards."""
    with (
        temporary.running_postgres(folder) as postgres,
        ThreadPoolExecutor(KEEPERS, thread_name_prefix="keeper") as keepers,
    ):
        server = Server(postgres.admin_dsn)
        yield Site(
            folder,
            postgres,
            {service: _template(server, service) for service in SOURCES},
            keepers,
        )


def _template(server: Server, service: str) -> TemplateDatabase:
    return migrated_template(server, service, SOURCES[service]())


@dataclass(kw_only=True)
class Platform:
    """One run: *databases* by service, a broker of its own, and the product's *processes* by name.

    *parts* names what is planted in which process, whenever it is started.
    """

    site: Site
    folder: Path
    kafka: KafkaBroker
    databases: dict[str, Database]
    processes: tuple[str, ...]
    settings: Mapping[str, str]
    parts: Mapping[str, str] = field(default_factory=dict)
    _log_began: int = 0
    _ports: dict[str, int] = field(default_factory=dict)
    _forked: dict[str, Forked] = field(default_factory=dict)
    _operated: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        """Choose the ports, and note where this run begins in the server's log."""
        self._log_began = self.postgres.log.stat().st_size
        self._ports = dict(zip(self.processes, free_ports(len(self.processes)), strict=True))

    @property
    def gate(self) -> Gate:
        """The gates of this run."""
        return Gate(self.folder)

    @property
    def objects(self) -> Path:
        """The folder with the history's files."""
        return self.folder / "objects"

    @property
    def consumers(self) -> list[Consumer]:
        """The consumers that run."""
        return consumers_of(self.processes)

    @property
    def topics(self) -> list[Topic]:
        """The topics that there are."""
        return topics_of(self.processes)

    @property
    def postgres(self) -> PostgresServer:
        """The server."""
        return self.site.postgres

    @property
    def api_ports(self) -> list[int]:
        """Where the wallet's API instances listen."""
        return [self._ports[name] for name in APIS]

    def port(self, name: str) -> int:
        """Return the port of a process."""
        return self._ports[name]

    def pid(self, name: str) -> int:
        """Return the pid of a process."""
        return self._forked[name].pid

    def name_of(self, pid: int) -> str:
        """Return the name of the process with *pid*."""
        return next(name for name in self._forked if self._forked[name].pid == pid)

    def log(self, name: str) -> str:
        """Return all that a process has logged."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def postgres_log(self) -> str:
        """Return what PostgreSQL has logged in this run."""
        with self.postgres.log.open("rb") as log:
            log.seek(self._log_began)
            return log.read().decode(errors="replace")

    async def start(self, name: str, *, gated: bool = False, env: Mapping[str, str] | None = None) -> None:
        """Start a process, again where it has ended, and wait until it is ready; *gated*: with its gates."""
        if name in self._forked:
            await self.kill(name)
        process = PROCESSES[name]
        words: tuple[str, ...] = (process.service, process.kind)
        if name in self.parts:
            words = ("tests.chaos.platform.plants", self.parts[name])
        elif gated:
            words = ("tests.chaos.platform.launch", *words)
        program = Program(
            words=words,
            log=self.folder / f"{name}.log",
            cwd=ROOT,
            env={**self.environment, process.port: str(self._ports[name]), **(env or {})},
        )
        forked = self._forked[name] = Forked(program)
        is_ready = functools.partial(_answers, self._ports[name])
        await self.site.keep(functools.partial(forked.start, is_ready, within_s=READY_WITHIN_S))

    async def start_through(self, port: int) -> None:
        """Start every process again, with what listens on *port* between it and PostgreSQL."""
        ports = (f":{self.postgres.port}/", f":{port}/")
        urls = {name: url.replace(*ports) for name, url in self.environment.items() if name.endswith("_DATABASE_URL")}
        await asyncio.gather(*(self.start(name, env=urls) for name in self.processes))

    async def kill(self, name: str) -> None:
        """Kill -9 a process, or reap one that is dead already."""
        await self.site.keep(self._forked[name].kill)

    async def stop(self, name: str) -> None:
        """Ask a process to end, and wait."""
        await self.site.keep(self._forked[name].stop)

    async def keep_metrics(self) -> None:
        """Write what every process tells of itself beside its log, for who looks into a failed run."""
        for name, port in self._ports.items():
            page = await self.site.keep(functools.partial(_read, f"http://{LOOPBACK}:{port}/metrics"))
            (self.folder / f"{name}.metrics.log").write_bytes(page or b"no answer")

    async def close(self) -> None:
        """Kill everything that was started."""
        await asyncio.gather(*(self.kill(name) for name in self._forked))

    @property
    def environment(self) -> dict[str, str]:
        """What every process is given."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            **{f"{service.upper()}_DATABASE_URL": each.dsn_app for service, each in self.databases.items()},
            **{f"{service.upper()}_READER_DATABASE_URL": each.dsn_reader for service, each in self.databases.items()},
            **{f"{service.upper()}_OWNER_DATABASE_URL": each.dsn_owner for service, each in self.databases.items()},
            "TRACES_FILE": str(self.folder / "traces.jsonl"),
            "TRANSACTION_HISTORY_OBJECTS_URL": str(self.objects),
            GATES: str(self.folder),
            "TMPDIR": str(self.folder),
            **SETTINGS,
            **self.settings,
        }

    async def operate(self, service: str, *arguments: str, exits: int | None = 0) -> str:
        """Run an operator's command of *service*; return what it prints. It must end with *exits*, None: with any."""
        program = self._command(service, *arguments)
        code = await self.site.keep(functools.partial(Forked(program).run, within_s=READY_WITHIN_S))
        output = program.log.read_text(errors="replace")
        assert exits in {None, code}, output
        return output

    async def operate_killed(self, service: str, *arguments: str, once: Callable[[], bool]) -> None:
        """Run an operator's command of *service*, and kill -9 it as soon as *once*, asked in a thread, is true."""
        forked = Forked(self._command(service, *arguments))
        await self.site.keep(functools.partial(forked.start, once, within_s=READY_WITHIN_S))
        await self.site.keep(forked.kill)

    def _command(self, service: str, *arguments: str) -> Program:
        log = self.folder / f"operate-{next(self._operated)}.log"
        return Program(words=(service, *arguments), log=log, cwd=ROOT, env=self.environment)

    async def page(self, name: str, path: str) -> str:
        """Return a page that a process shows of itself."""
        page = await self.site.keep(functools.partial(_read, f"http://{LOOPBACK}:{self._ports[name]}{path}"))
        return (page or b"").decode()

    async def lives(self, name: str, pid: int) -> bool:
        """Return whether a process is ready, and the one that had *pid*."""
        return self.pid(name) == pid and bool(await self.page(name, "/health/ready"))

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[Connections]:
        """Give a superuser's connection to each service's database."""
        async with AsyncExitStack() as stack:
            found = {}
            for service, database in self.databases.items():
                found[service] = await asyncpg.connect(database.dsn_admin, timeout=5, command_timeout=30)
                stack.push_async_callback(_close, found[service])
            yield found


async def _close(connection: asyncpg.Connection) -> None:
    with contextlib.suppress(OSError, *DRIVER_ERRORS):
        await connection.close(timeout=2)


@asynccontextmanager
async def open_platform(
    site: Site,
    name: str,
    *,
    also: Collection[str] = (),
    gated: Collection[str] = (),
    env: Mapping[str, str] | None = None,
    plant: Plant | None = None,
) -> AsyncIterator[Platform]:
    """Start the core and what is to run *also*; *gated* processes have their gates. All of it is ended in any case.

    The bug of *plant* is in what it names.
    """
    folder = site.folder / name
    folder.mkdir()
    processes = (*CORE, *sorted(also))
    with temporary.running_kafka(folder) as kafka:
        async with AsyncExitStack() as stack:
            databases = {
                service: await stack.enter_async_context(site.templates[service].database())
                for service in services_of(processes)
            }
            await topics.ensure_topics(kafka.bootstrap_servers, topics_of(processes))
            if plant is not None:
                await stack.enter_async_context(plant.prepare(databases))
            platform = Platform(
                site=site,
                folder=folder,
                kafka=kafka,
                databases=databases,
                processes=processes,
                settings=env or {},
                parts={} if plant is None else plant.parts,
            )
            try:
                await asyncio.gather(*(platform.start(each, gated=each in gated) for each in processes))
                yield platform
            finally:
                await platform.keep_metrics()
                await platform.close()


def _answers(port: int) -> bool:
    return _read(f"http://{LOOPBACK}:{port}/health/ready") is not None


def _read(url: str) -> bytes | None:
    """Return the page, or None if there is no good answer in time."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_S) as answer:  # noqa: S310  our own processes
            page: bytes = answer.read()
            return page if answer.status == 200 else None
    except (OSError, urllib.error.URLError):
        return None
