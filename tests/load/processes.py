"""The product's processes, and those it is compared with, as the cells start and end them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import httpx2
import psutil

from engines import accounts, temporary
from engines.ports import free_ports
from gateway.engine import Gateway
from gateway.rendering import Behind
from testkit.databases import Database

READY_WITHIN_S = 60.0
ENDED_WITHIN_S = 30.0
SCRAPED_S = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process that serves HTTP."""

    url: str
    pid: int

    @property
    def cpu_s(self) -> float:
        """The CPU seconds that it has used."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - one read of a kernel file
            fields = stat.read().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def started(module: Sequence[str], port_variable: str, environment: Mapping[str, str]) -> AsyncIterator[Process]:
    """Run `python -m` *module* on a free port until it is ready, and end it afterwards."""
    (port,) = free_ports(1)
    process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for below
        [sys.executable, "-m", *module],
        env={**os.environ, **environment, port_variable: str(port)},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_ready(url)
        yield Process(url, process.pid)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, ENDED_WITHIN_S)


@asynccontextmanager
async def apis(
    database: Database,
    count: int = 1,
    settings: Mapping[str, str] = MappingProxyType({}),
    module: Sequence[str] = ("wallet", "api"),
) -> AsyncIterator[list[Process]]:
    """Run *count* processes of the wallet's API, or of *module*, on *database*, with *settings* besides its own."""
    environment = {
        "WALLET_DATABASE_URL": database.dsn_app,
        "WALLET_READER_DATABASE_URL": database.dsn_reader,
        **settings,
    }
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(started(module, "WALLET_API_PORT", environment)) for _ in range(count)]


@asynccontextmanager
async def verifying(database: Database) -> AsyncIterator[None]:
    """Run the wallet's maintenance on *database*, and have it verify rows before the body runs and behind it."""
    environment = {"WALLET_DATABASE_URL": database.dsn_app}
    async with started(("wallet", "maintenance"), "WALLET_MAINTENANCE_PORT", environment) as process:
        await _until_more_verified(process.url)
        yield
        await _until_more_verified(process.url)


@asynccontextmanager
async def gateway_before(process: Process) -> AsyncIterator[Process]:
    """Run a gateway before one instance of the wallet's API, and end it afterwards; its CPU is that of its worker."""
    (port,) = free_ports(1)
    with temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder:
        behind = Behind(port=port, apis={"wallet": [process.url.removeprefix("http://")]}, requests_per_address=10_000)
        gateway = Gateway(folder=folder / "gateway", port=port, log=folder / "gateway.log", behind=behind)
        gateway.start()
        try:
            children = psutil.Process(gateway.daemon.pid).children()
            (worker,) = (each.pid for each in children if "worker process" in " ".join(each.cmdline()))
            yield Process(f"http://127.0.0.1:{port}", worker)
        finally:
            gateway.stop()


@asynccontextmanager
async def scraped(processes: Sequence[Process]) -> AsyncIterator[None]:
    """Ask each process for its figures and exemplars every SCRAPED_S while the body runs, as Prometheus does."""

    async def scrape() -> None:
        async with httpx2.AsyncClient(headers={"accept": "application/openmetrics-text; version=1.0.0"}) as client:
            while True:
                for process in processes:
                    (await client.get(f"{process.url}/metrics", timeout=SCRAPED_S)).raise_for_status()
                await asyncio.sleep(SCRAPED_S)

    scraping = asyncio.create_task(scrape())
    try:
        yield
        assert not scraping.done(), "the process did not answer who asked for its figures"
    finally:
        scraping.cancel()
        await asyncio.wait([scraping])


async def _until_more_verified(url: str) -> None:
    async with httpx2.AsyncClient() as client, asyncio.timeout(READY_WITHIN_S):
        before = await _rows_verified(client, url)
        while await _rows_verified(client, url) <= before:  # noqa: ASYNC110  in another process
            await asyncio.sleep(0.05)


async def _rows_verified(client: httpx2.AsyncClient, url: str) -> float:
    page = (await client.get(f"{url}/metrics")).text
    lines = (line for line in page.splitlines() if line.startswith("invariant_checked_rows_total{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def _until_ready(url: str) -> None:
    async with httpx2.AsyncClient() as client, asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                if (await client.get(f"{url}/health/ready")).is_success:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)
