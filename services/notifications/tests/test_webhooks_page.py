"""The receiver's program in docs/webhooks.md, as it stands, behind the service."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from engines.ports import free_ports
from testkit.events import wallet_in
from testkit.notifications_api import Bench

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PAGE: Final = Path(__file__).parents[3] / "docs" / "webhooks.md"
LINES_MAX: Final = 30


def program() -> str:
    """Return the page's Python."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_program_is_short() -> None:
    assert len(program().splitlines()) <= LINES_MAX


async def test_the_program_takes_what_is_signed_once(bench: Bench) -> None:
    (port,) = free_ports(1)
    endpoint = await bench.client.endpoint(f"http://127.0.0.1:{port}/")
    forged = await bench.client.endpoint(f"http://127.0.0.1:{port}/", wallet_ids=[str(wallet_in(5))])
    environment = {**os.environ, "WEBHOOK_SECRET": endpoint["secret"], "PORT": str(port)}
    wallet = wallet_in(3)

    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program(), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        await listening(port)
        async with bench.worker(notifications_retry_delays_s=(1,)):
            await bench.project(bench.stream.opened(wallet))
            (delivery,) = await bench.client.until(1, status="delivered")
            await bench.client.post(f"deliveries/{delivery['id']}/resend")
            await bench.client.post(f"webhook-endpoints/{forged['id']}/test")
            (refused,) = await bench.client.until(1, status="exhausted")
            await bench.client.until(1, status="delivered")
        assert (await bench.client.attempts(refused["id"]))[0]["status_code"] == 401
        assert [each["status_code"] for each in await bench.client.attempts(delivery["id"])] == [204, 204]
    finally:
        child.kill()
        printed, _ = await child.communicate()

    assert printed.decode() == f"wallet.opened.v1 {wallet}\n"


async def listening(port: int) -> None:
    """Return when somebody listens on *port*."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return
