"""A service's processes as an operator starts them."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx2

from testkit.identities import CLIENTS_HEADERS
from testkit.waiting import eventually

END_WITHIN_S = 30
READ_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Running:
    """A process of a service, and its HTTP pages."""

    child: Process
    pages: httpx2.AsyncClient


@asynccontextmanager
async def process(package: str, command: str, environment: Mapping[str, str]) -> AsyncIterator[Running]:
    """Run `python -m package command` until the body ends, and see it end in order.

    Its port is the one of its usual variable, `<PACKAGE>_<COMMAND>_PORT`.
    """
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", package, command, env=environment)
    port = environment[f"{package}_{command}_PORT".upper()]
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=CLIENTS_HEADERS) as client:
            await eventually(lambda: _is_ready(client))
            yield Running(child, client)
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_WITHIN_S):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def command(package: str, environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run `python -m package arguments` to its end; return its exit code and what it printed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", package, *arguments),
        env={**environment, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, printed.decode()


async def read(api: httpx2.AsyncClient, path: str, min_position: str) -> Any:
    """Read like a client that retries until the read side has reached *min_position*."""
    async with asyncio.timeout(READ_WITHIN_S):
        while True:
            answer = await api.get(path, headers={"Min-Position": min_position})
            if answer.is_success:
                return answer.json()
            assert answer.json()["code"] == "position_not_reached"


async def _is_ready(client: httpx2.AsyncClient) -> bool:
    with suppress(httpx2.TransportError):
        return (await client.get("/health/ready")).is_success
    return False
