"""Workers that die or stand still: real processes, real signals, one id."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import pytest

from engines.ports import free_ports
from servicekit.postgres import Pool
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.name_server import serving_names
from testkit.notifications_api import Bench
from testkit.receiver import Reply, receiving

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

WITHIN_S = 60


@pytest.fixture
def environment(database: Database) -> Mapping[str, str]:
    return {
        **os.environ,
        "NOTIFICATIONS_DATABASE_URL": database.dsn_app,
        "NOTIFICATIONS_READER_DATABASE_URL": database.dsn_reader,
        "NOTIFICATIONS_ALLOW_LOOPBACK": "true",
        "NOTIFICATIONS_ATTEMPT_TIMEOUT_S": "20",
        "NOTIFICATIONS_LEASE_S": "120",
        "TRACE_SAMPLE_RATIO": "0",
    }


class Worker:
    def __init__(self, child: asyncio.subprocess.Process, port: int) -> None:
        self.child = child
        self.port = port

    async def counts(self, name: str, wanted: float) -> None:
        """Return when a sample of the worker's metrics has the value."""
        async with asyncio.timeout(WITHIN_S), httpx2.AsyncClient(timeout=WITHIN_S) as client:
            while True:
                text = (await client.get(f"http://127.0.0.1:{self.port}/metrics")).text
                found = [line.split(" ")[1] for line in text.splitlines() if line.startswith(f"{name} ")]
                if [float(value) for value in found] == [wanted]:
                    return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def worker_process(environment: Mapping[str, str]) -> AsyncIterator[Worker]:
    """Run a worker as an operator does; what is left of it is killed."""
    (port,) = free_ports(1)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifications", "worker", env={**environment, "NOTIFICATIONS_WORKER_PORT": str(port)}
    )
    try:
        yield Worker(child, port)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def age_leases(pool: Pool) -> None:
    """Let the leases' time pass."""
    async with pool.connection() as connection:
        await connection.execute("update notifications.delivery set next_attempt_at = now() where status = 'pending'")


LOSE_THE_WRITE = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'"""
"""It is with the database already, which would do it although its client is dead."""


async def waits_for_the_row(pool: Pool) -> None:
    """Return when somebody waits for the lock that this test holds."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with pool.connection() as connection:
                if await connection.fetchval("select count(*) from pg_locks where not granted"):
                    return
            await asyncio.sleep(0.02)


async def test_a_worker_killed_before_it_settles_repeats_under_the_same_id(
    bench: Bench, environment: Mapping[str, str]
) -> None:
    held = asyncio.Event()
    async with receiving(lambda _post: Reply(after=held)) as receiver:
        await bench.client.endpoint(receiver.url())
        await bench.project(bench.stream.opened(wallet_in(3)))
        (delivery,) = await bench.client.deliveries(status="pending")
        async with worker_process(environment) as worker:
            await receiver.wait_for(1, within_s=WITHIN_S)
            async with bench.pool.transaction() as tx:
                await tx.connection.execute("select from notifications.delivery for update")
                held.set()  # the response is on its way, the settling write will wait for the row
                await waits_for_the_row(bench.pool)
                worker.child.kill()
                await worker.child.wait()
                await tx.connection.execute(LOSE_THE_WRITE)
        await age_leases(bench.pool)
        async with bench.worker():
            await bench.client.until(1, status="delivered")

    assert receiver.ids() == [delivery["webhook_id"]] * 2
    attempts = await bench.client.attempts(delivery["id"])
    assert [attempt["outcome"] for attempt in attempts] == ["delivered", "unknown"]


async def test_a_worker_that_stood_still_writes_nothing(bench: Bench, environment: Mapping[str, str]) -> None:
    answered = asyncio.Event()
    async with receiving(lambda _post: Reply(500, after=answered)) as receiver, worker_process(environment) as worker:
        await bench.client.endpoint(receiver.url())
        await bench.project(bench.stream.opened(wallet_in(3)))
        await receiver.wait_for(1, within_s=WITHIN_S)
        worker.child.send_signal(signal.SIGSTOP)
        answered.set()
        await age_leases(bench.pool)
        receiver.answer = lambda _post: Reply()
        async with bench.worker():
            (delivery,) = await bench.client.until(1, status="delivered")
        before = await bench.client.attempts(delivery["id"])

        worker.child.send_signal(signal.SIGCONT)
        await worker.counts("webhook_attempts_stale_total", 1)

    assert await bench.client.deliveries() == [delivery]
    assert await bench.client.attempts(delivery["id"]) == before
    assert [attempt["outcome"] for attempt in before] == ["delivered", "unknown"]
    assert receiver.ids() == [delivery["webhook_id"]] * 2


async def test_two_workers_share_without_repeating(bench: Bench, environment: Mapping[str, str]) -> None:
    async with receiving() as receiver, worker_process(environment), worker_process(environment):
        await bench.client.endpoint(receiver.url())
        await bench.project(*[bench.stream.opened(wallet_in(shard)) for shard in range(60)])
        await bench.client.until(60, status="delivered")

    assert len(receiver.ids()) == len(set(receiver.ids())) == 60


async def test_a_worker_asks_the_name_servers_that_it_is_given(bench: Bench, environment: Mapping[str, str]) -> None:
    bench.names["hooks.example.com"] = [["127.0.0.1"]]
    async with receiving() as receiver, serving_names(lambda _name: ["127.0.0.1"]) as names:
        servers = {"NOTIFICATIONS_DNS_SERVERS": f"127.0.0.1:{names.port}"}
        async with worker_process({**environment, **servers}):
            await bench.client.endpoint(receiver.url(host="hooks.example.com"))
            await bench.project(bench.stream.opened(wallet_in(3)))
            await receiver.wait_for(1, within_s=WITHIN_S)
            await bench.client.until(1, status="delivered")

    assert set(names.asked) == {"hooks.example.com"}
