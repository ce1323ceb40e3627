"""The cells of the benchmark: each writes transfers for some seconds and returns how many a second it made."""

import asyncio
import os
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx2
from prometheus_client import CollectorRegistry
from tests.load import generator
from tests.load.database import WALLETS, Bench

from local_stack.ports import free_ports
from servicekit.clock import monotonic_s
from wallet.adapters.ledger_postgres import PostgresLedger, make_id
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.metrics import CommitterMetrics
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.units import Outcome, Stored, Unit, fingerprint
from wallet.domain.commands import TransferFunds

TENANT = UUID("00000000-0000-7000-8000-000000000001")
OUTSTANDING = 1_024
READY_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Rate:
    """What a cell made: transfers a second, and µs of CPU per transfer where they were measured."""

    per_s: float
    cpu_us: float | None = None
    generator_cpu_share: float | None = None


def pgbench(bench: Bench, script: str, *, hot: bool, clients: int, seconds: float, sizes: tuple[int, int]) -> Rate:
    """Run one of the pgbench scripts: one transaction per transfer."""
    variables = {"payers": 1 if hot else WALLETS, "wallets": WALLETS, "payload_bytes": sizes[0], "body_bytes": sizes[1]}
    defined = [argument for name, value in variables.items() for argument in ("-D", f"{name}={value}")]
    command = [
        bench.server.binaries / "pgbench", "-n", "-M", "prepared", "-T", str(max(1, round(seconds))),
        "-c", str(clients), "-j", "2",
        "--max-tries", "10", *defined, "-f", f"tests/load/pgbench/{script}.sql", bench.database.dsn_admin,
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    found = re.search(r"tps = ([0-9.]+)", ran.stdout)
    assert ran.returncode == 0, ran.stderr[-500:]
    assert found is not None, ran.stdout
    return Rate(float(found[1]))


async def committer(bench: Bench, *, hot: bool, decides_ahead: bool, seconds: float) -> Rate:
    """Drive the committer in this process, with a constant number of commands outstanding."""
    ledger = PostgresLedger(bench.database.dsn_app)
    metrics = CommitterMetrics(CollectorRegistry())
    queue = CommandQueue(QueueLimits(age_max_s=seconds + 60), metrics=metrics)
    driven = Committer(
        ledger,
        queue,
        make_id=make_id,
        hash_reference=lambda _tenant, reference: reference.encode(),
        metrics=metrics,
        settings=CommitterSettings(decides_ahead=decides_ahead),
    )
    running = asyncio.create_task(driven.run())
    wallet_ids = [UUID(text) for text in bench.wallet_ids]
    began_s, cpu_s = monotonic_s(), _cpu_s()
    done = await _Driver(queue, wallet_ids, hot=hot, until_s=began_s + seconds).run()
    elapsed_s, used_s = monotonic_s() - began_s, _cpu_s() - cpu_s
    queue.close()
    await running
    await ledger.close()
    return Rate(done / elapsed_s, 1e6 * used_s / done)


class _Driver:
    """Submits the next transfer whenever one is answered; no task per command."""

    def __init__(self, queue: CommandQueue, wallet_ids: list[UUID], *, hot: bool, until_s: float) -> None:
        self._queue = queue
        self._wallets = wallet_ids
        self._hot = hot
        self._until_s = until_s
        self._done = 0
        self._outstanding = 0
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        for _ in range(OUTSTANDING):
            self._submit()
        return await self._ended

    def _submit(self) -> None:
        payer = self._wallets[0] if self._hot else random.choice(self._wallets)
        payee = random.choice(self._wallets)
        while payee == payer:
            payee = random.choice(self._wallets)
        commands = (TransferFunds(payer, payee, 100, "USD"),)
        now_s = monotonic_s()
        key = (TENANT, os.urandom(16).hex(), 0)
        printed = fingerprint("/v1/transfers", commands)
        unit = Unit("/v1/transfers", commands, False, TENANT, "bench", key, printed, now_s, now_s + 60)
        self._outstanding += 1
        self._queue.submit(unit).add_done_callback(self._answered)

    def _answered(self, future: "asyncio.Future[Outcome]") -> None:
        outcome = future.result()
        self._outstanding -= 1
        if not isinstance(outcome, Stored) or outcome.status != 201:
            if not self._ended.done():
                self._ended.set_exception(AssertionError(f"a transfer was not accepted: {outcome}"))
            return
        self._done += 1
        if monotonic_s() < self._until_s:
            self._submit()
        elif self._outstanding == 0:
            self._ended.set_result(self._done)


@asynccontextmanager
async def api(bench: Bench, *, trace_share: float | None = None) -> AsyncIterator[tuple[str, int]]:
    """Run one API process, which traces *trace_share* of its requests or its usual share; give its address and pid."""
    (port,) = free_ports(1)
    environment = {**os.environ, "WALLET_DATABASE_URL": bench.database.dsn_app, "WALLET_API_PORT": str(port)}
    if trace_share is not None:
        environment["TRACE_SAMPLE_RATIO"] = str(trace_share)
    process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for below
        [sys.executable, "-m", "wallet", "api"], env=environment, stdout=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_ready(url)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


async def http(bench: Bench, url: str, pid: int, *, hot: bool, connections: int, seconds: float) -> Rate:
    """Send single transfers over *connections* kept alive, in a closed loop."""
    cpu_s = _cpu_of(pid)
    sent = await generator.run(url, bench.wallet_ids, hot=hot, connections=connections, seconds=seconds)
    used_s = _cpu_of(pid) - cpu_s
    return Rate(sent.requests / sent.seconds, 1e6 * used_s / sent.requests, sent.cpu_share)


async def _until_ready(url: str) -> None:
    async with httpx2.AsyncClient() as client, asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                if (await client.get(f"{url}/health/ready")).is_success:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _cpu_of(pid: int) -> float:
    """Return the CPU seconds that *pid* has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - one read of a kernel file
        fields = stat.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
