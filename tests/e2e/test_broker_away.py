"""A broker that is away is seen where an operator looks, and takes no process out of service."""

import asyncio
from collections.abc import Mapping

import httpx2
import pytest
from tests.e2e.streaming import Platform

from engines.ports import free_ports
from testkit.processes import process

pytestmark = pytest.mark.e2e

PROCESSES = (
    ("wallet", "relay"),
    ("wallet", "decisions"),
    ("transaction_history", "projector"),
    ("transaction_history", "worker"),
)


def environment(platform: Platform) -> Mapping[str, str]:
    """Return what the processes are started with: nobody listens where the broker is to be."""
    broker, *ports = free_ports(1 + len(PROCESSES))
    variables = [f"{package}_{command}_PORT".upper() for package, command in PROCESSES]
    return {
        **platform.environment("wallet.events"),
        **dict(zip(variables, map(str, ports), strict=True)),
        "TRANSACTION_HISTORY_READER_DATABASE_URL": platform.history.dsn_reader,
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{broker}",
    }


async def checks(pages: httpx2.AsyncClient, page: str) -> tuple[int, dict[str, bool]]:
    """Return the status of a page of health, and what it says of each part."""
    answer = await pages.get(f"/health/{page}")
    return answer.status_code, {name: check["ok"] for name, check in answer.json()["checks"].items()}


async def test_a_broker_that_is_away_shows_in_the_deep_health_of_each_that_needs_it(platform: Platform) -> None:
    started = environment(platform)

    async def look(package: str, command: str) -> None:
        async with process(package, command, started) as running:
            status, deep = await checks(running.pages, "deep")
            assert (status, deep["broker"], deep["database"]) == (503, False, True), (package, command)
            assert (await checks(running.pages, "ready"))[0] == 200
            page = (await running.pages.get("/metrics")).text
            assert 'dependency_up{dependency="broker"} 0.0' in page
            assert 'dependency_up{dependency="database"} 1.0' in page

    async with asyncio.TaskGroup() as looks:
        for package, command in PROCESSES:
            looks.create_task(look(package, command))
