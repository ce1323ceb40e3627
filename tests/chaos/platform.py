"""The platform under test: real engines and processes in a run folder, on free ports, ended by their pids."""

import asyncio
import contextlib
import functools
import os
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncpg
from tests.chaos.gate import GATES, Gate

import transaction_history.bootstrap
import wallet.bootstrap
from contracts.topics import WALLET_EVENTS
from local_stack import topics
from local_stack.daemon import Command, Daemon
from local_stack.databases import app_role
from local_stack.kafka import KafkaBroker
from local_stack.ports import LOOPBACK, free_ports
from local_stack.postgres import PostgresServer
from servicekit.migrations import MigrationSource, migrate
from testkit import engines
from testkit.databases import Database, Server, TemplateDatabase

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 40.0
KEEPERS = 8
PROBE_S = 2.0
APIS = ("api-1", "api-2")

T = TypeVar("T")

_PRODUCT: Mapping[str, tuple[str, ...]] = {
    "api-1": ("wallet", "api"),
    "api-2": ("wallet", "api"),
    "relay": ("wallet", "relay"),
    "projector": ("transaction_history", "projector"),
    "history": ("transaction_history", "api"),
}
_PORTS: Mapping[str, str] = {
    "api-1": "WALLET_API_PORT",
    "api-2": "WALLET_API_PORT",
    "relay": "WALLET_RELAY_PORT",
    "projector": "TRANSACTION_HISTORY_PROJECTOR_PORT",
    "history": "TRANSACTION_HISTORY_API_PORT",
}


@dataclass(frozen=True, slots=True)
class Site:
    """What all runs of one invocation share: the folder, PostgreSQL with its templates, and who starts processes."""

    folder: Path
    postgres: PostgresServer
    wallets: TemplateDatabase
    histories: TemplateDatabase
    keepers: ThreadPoolExecutor

    async def keep(self, call: Callable[[], T]) -> T:
        """Run *call* in a thread that lives on: a process ends with the thread that started it."""
        return await asyncio.get_running_loop().run_in_executor(self.keepers, call)


@contextlib.contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """Start PostgreSQL, durable as in production, and end it afterwards."""
    with (
        engines.running_postgres(folder) as postgres,
        ThreadPoolExecutor(KEEPERS, thread_name_prefix="keeper") as keepers,
    ):
        server = Server(postgres.admin_dsn)
        yield Site(
            folder,
            postgres,
            _template(server, "wallet", wallet.bootstrap.migration_sources),
            _template(server, "transaction_history", transaction_history.bootstrap.migration_sources),
            keepers,
        )


def _template(server: Server, service: str, sources: Callable[[], list[MigrationSource]]) -> TemplateDatabase:
    return TemplateDatabase(
        server, service=service, migrate=lambda dsn: migrate(dsn, sources(), app_role=app_role(service))
    )


class Platform:
    """One run: databases of its own, a broker of its own, and the product's processes by name."""

    def __init__(self, site: Site, folder: Path, kafka: KafkaBroker, wallets: Database, history: Database) -> None:
        self.site = site
        self.folder = folder
        self.kafka = kafka
        self.wallet_database = wallets
        self.history_database = history
        self.gate = Gate(folder)
        self._ports = dict(zip(_PRODUCT, free_ports(len(_PRODUCT)), strict=True))
        self._daemons: dict[str, Daemon] = {}

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
        return self._daemons[name].pid

    def name_of(self, pid: int) -> str:
        """Return the name of the process with *pid*."""
        return next(name for name in self._daemons if self._daemons[name].pid == pid)

    def log(self, name: str) -> str:
        """Return all that a process has logged."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    async def start(self, name: str, *, gated: bool = False, env: Mapping[str, str] | None = None) -> None:
        """Start a process, again where it has ended, and wait until it is ready; *gated*: with its gates."""
        if name in self._daemons:
            await self.kill(name)
        package, kind = _PRODUCT[name]
        module = ("tests.chaos.launch", kind) if gated else (package, kind)
        command = Command(
            name=name,
            argv=(sys.executable, "-m", *module),
            log=self.folder / f"{name}.log",
            cwd=ROOT,
            env={**self.environment, _PORTS[name]: str(self._ports[name]), **(env or {})},
        )
        self._daemons[name] = Daemon(
            command, is_ready=lambda _: _answers(self._ports[name]), ready_within_s=READY_WITHIN_S
        )
        await self.site.keep(self._daemons[name].start)

    async def kill(self, name: str) -> None:
        """Kill -9 a process, or reap one that is dead already."""
        await self.site.keep(self._daemons[name].kill)

    async def stop(self, name: str) -> None:
        """Ask a process to end, and wait."""
        await self.site.keep(self._daemons[name].stop)

    async def keep_metrics(self) -> None:
        """Write what every process tells of itself beside its log, for who looks into a failed run."""
        for name, port in self._ports.items():
            page = await self.site.keep(functools.partial(_read, f"http://{LOOPBACK}:{port}/metrics"))
            (self.folder / f"{name}.metrics.log").write_bytes(page or b"no answer")

    async def close(self) -> None:
        """Kill everything that was started."""
        await asyncio.gather(*(self.kill(name) for name in self._daemons))

    @property
    def environment(self) -> dict[str, str]:
        """What every process is given."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "WALLET_DATABASE_URL": self.wallet_database.dsn_app,
            "WALLET_OWNER_DATABASE_URL": self.wallet_database.dsn_owner,
            "TRANSACTION_HISTORY_DATABASE_URL": self.history_database.dsn_app,
            "TRANSACTION_HISTORY_OWNER_DATABASE_URL": self.history_database.dsn_owner,
            "TRACES_FILE": str(self.folder / "traces.jsonl"),
            GATES: str(self.folder),
        }

    async def operate(self, *arguments: str) -> str:
        """Run an operator's command of transaction-history; return what it prints. It must succeed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "transaction_history", *arguments,
            env={**os.environ, **self.environment}, cwd=ROOT,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(READY_WITHIN_S):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    @asynccontextmanager
    async def databases(self) -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection]]:
        """Give superuser connections to the wallet's and the history's databases."""
        async with AsyncExitStack() as stack:
            connections = []
            for database in (self.wallet_database, self.history_database):
                connection = await asyncpg.connect(database.dsn_admin, timeout=5, command_timeout=30)
                stack.push_async_callback(_close, connection)
                connections.append(connection)
            yield connections[0], connections[1]


async def _close(connection: asyncpg.Connection) -> None:
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        await connection.close(timeout=2)


@asynccontextmanager
async def open_platform(
    site: Site, name: str, *, gated: Collection[str] = (), env: Mapping[str, str] | None = None
) -> AsyncIterator[Platform]:
    """Start everything for one run; *gated* processes have their gates. All of it is ended, whatever happens."""
    folder = site.folder / name
    folder.mkdir()
    with engines.running_kafka(folder) as kafka:
        async with site.wallets.database() as wallets, site.histories.database() as history:
            await topics.ensure_topics(kafka.bootstrap_servers, [WALLET_EVENTS])
            platform = Platform(site, folder, kafka, wallets, history)
            try:
                await asyncio.gather(*(platform.start(each, gated=each in gated, env=env) for each in _PRODUCT))
                yield platform
            finally:
                await platform.keep_metrics()
                await platform.close()


def _answers(port: int) -> bool:
    return _read(f"http://{LOOPBACK}:{port}/health/ready") is not None


def _read(url: str) -> bytes | None:
    """Return the page, or None where there is no good answer in time."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_S) as answer:  # noqa: S310  our own processes
            page: bytes = answer.read()
            return page if answer.status == 200 else None
    except (OSError, urllib.error.URLError):
        return None
