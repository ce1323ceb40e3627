"""What a synchronous standby costs: a replayed answer beside a new one, and a relay that waits for it."""

import random
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from tests.load import backlog
from tests.load.backlog import Drain
from tests.load.database import FOR_LOAD, add_wallets, connected, run_folder, wallet_template
from tests.load.processes import apis

from contracts.ids import new_id_text
from contracts.topics import WALLET_WATERMARKS, Topic
from engines import temporary
from engines.postgres import PostgresServer
from engines.standby import STANDBY
from engines.topics import ensure_topics
from servicekit.clock import monotonic_s
from testkit.databases import Database
from testkit.identities import CLIENTS_HEADERS
from testkit.standby import name_standbys, running_standby, until_synchronous


@dataclass(frozen=True, slots=True)
class Standby:
    """Median ms of a new command and of its repeat; events a second of a relay with its barrier and without."""

    new_ms: float
    replayed_ms: float
    barrier_per_s: float
    without_per_s: float


async def measure(commands: int, events: int) -> Standby:
    """Send *commands* one after another, each again afterwards; then drain *events* twice."""
    with run_folder() as folder, temporary.running_postgres(folder, settings=FOR_LOAD) as primary:
        async with wallet_template(primary).database() as database:
            wallet_ids = await add_wallets(database.dsn_admin)
            with running_standby(primary, folder):
                async with _waited_for(primary):
                    new_ms, replayed_ms = await _latencies(database, wallet_ids, commands)
                with temporary.running_kafka(folder) as kafka:
                    rates = await _relayed(primary, kafka.bootstrap_servers, events)
    return Standby(new_ms, replayed_ms, *rates)


@asynccontextmanager
async def _waited_for(primary: PostgresServer) -> AsyncIterator[None]:
    async with connected(primary.admin_dsn) as admin:
        await name_standbys(admin, STANDBY)
        await until_synchronous(admin)
        try:
            yield
        finally:
            await name_standbys(admin, "")


async def _latencies(database: Database, wallet_ids: list[str], commands: int) -> tuple[float, float]:
    times_ms: tuple[list[float], list[float]] = ([], [])
    async with apis(database) as (process,), httpx2.AsyncClient(base_url=process.url, headers=CLIENTS_HEADERS) as http:
        for _ in range(commands):
            body, key = _transfer(wallet_ids), new_id_text()
            for times in times_ms:
                began_s = monotonic_s()
                answer = await http.post("/v1/transfers", json=body, headers={"Idempotency-Key": key})
                times.append((monotonic_s() - began_s) * 1_000)
                assert answer.is_success, answer.text
            assert answer.headers["idempotency-replayed"] == "true"
    return statistics.median(times_ms[0]), statistics.median(times_ms[1])


def _transfer(wallet_ids: list[str]) -> dict[str, Any]:
    source, destination = random.sample(wallet_ids, 2)
    amount = {"amount": "1.00", "currency": "USD"}
    return {"source_wallet_id": source, "destination_wallet_id": destination, "amount": amount}


async def _relayed(primary: PostgresServer, kafka: str, events: int) -> tuple[float, float]:
    """Return the relay's events a second while the server waits for the standby, and while it does not."""
    names = [f"bench.events.{number}" for number in range(2)]
    told = [Topic(name=name, partitions=backlog.PARTITIONS) for name in names]
    await ensure_topics(kafka, [*told, WALLET_WATERMARKS])
    async with wallet_template(primary).database() as ledger:
        drain = Drain(kafka, ledger, await backlog.make(ledger, events))
        async with _waited_for(primary):
            barrier_per_s = await drain.run(names[0], None, relays=True)
        async with connected(ledger.dsn_admin) as connection:
            await connection.execute(backlog.BEGIN_AGAIN)
        return barrier_per_s, await drain.run(names[1], None, relays=True)
