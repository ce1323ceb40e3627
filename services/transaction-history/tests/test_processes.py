"""The service's processes as an operator starts them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from local_stack.ports import free_ports
from testkit.databases import Database
from testkit.events import Stream, publish, wallet_in
from testkit.pytest_plugin import MakeTopic

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PARTITIONS = 16
READY_WITHIN_S = 60


@pytest.fixture
async def environment(database: Database, kafka_bootstrap: str, make_topic: MakeTopic) -> Mapping[str, str]:
    api_port, projector_port = free_ports(2)
    return {
        **os.environ,
        "TRANSACTION_HISTORY_DATABASE_URL": database.dsn_app,
        "TRANSACTION_HISTORY_OWNER_DATABASE_URL": database.dsn_owner,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "TRANSACTION_HISTORY_TOPIC": await make_topic(PARTITIONS),
        "TRANSACTION_HISTORY_API_PORT": str(api_port),
        "TRANSACTION_HISTORY_PROJECTOR_PORT": str(projector_port),
        "TRACE_SAMPLE_RATIO": "0",
    }


@asynccontextmanager
async def process(environment: Mapping[str, str], command: str, port: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Run a process of the service until the body ends, and see it end in order."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "transaction_history", command, env=environment)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{environment[port]}") as client:
            await ready(client)
            yield client
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def ready(client: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)


async def command(environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run a command of the service; return its exit code and what it printed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "transaction_history",
        *arguments,
        env={**environment, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, printed.decode()


async def test_events_are_projected_read_and_rebuilt_by_real_processes(environment: Mapping[str, str]) -> None:
    stream, wallet = Stream(), wallet_in(5)
    events = [stream.opened(wallet), *stream.deposit(wallet, 900)]
    topic, brokers = environment["TRANSACTION_HISTORY_TOPIC"], environment["KAFKA_BOOTSTRAP_SERVERS"]

    assert (await command(environment, "migrate"))[0] == 0
    async with (
        process(environment, "projector", "TRANSACTION_HISTORY_PROJECTOR_PORT") as projector,
        process(environment, "api", "TRANSACTION_HISTORY_API_PORT") as api,
    ):
        await publish(brokers, topic, PARTITIONS, events)
        page = await read(api, f"/v1/history/wallets/{wallet}/entries", "5-3")
        assert [entry["amount"]["amount"] for entry in page["data"]] == ["9.00"]
        assert "consumer_applied_total" in (await projector.get("/metrics")).text
        assert (await api.get("/openapi.json")).status_code == 200

        status, printed = await command(environment, "projections", "status")
        assert (status, "parked wallet" in printed) == (0, True)
        assert (await command(environment, "projections", "rewind", "--shard", "5"))[0] == 0
        assert (await command(environment, "projections", "rewind", "--shard", "6"))[0] == 1
        assert (await command(environment, "projections", "unpark", "--wallet", str(wallet)))[0] == 0
        status, printed = await command(environment, "projections", "rebuild", "--switch")
        assert (status, printed.splitlines()[-1]) == (0, "switched")
        assert await read(api, f"/v1/history/wallets/{wallet}/entries", "5-3") == page


async def read(api: httpx2.AsyncClient, path: str, min_position: str) -> Any:
    """Read as a client does that was told to come again."""
    async with asyncio.timeout(60):
        while True:
            answer = await api.get(path, headers={"Min-Position": min_position})
            if answer.status_code == 200:
                return answer.json()
            assert answer.json()["code"] == "position_not_reached"
