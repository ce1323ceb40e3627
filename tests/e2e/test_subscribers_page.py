"""The subscriber's program in docs/subscribers.md, as it stands, against a topic full of repeats."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from testkit.events import Stream, publish, wallet_in
from testkit.pytest_plugin import MakeTopic

pytestmark = pytest.mark.e2e

PAGE: Final = Path(__file__).parents[2] / "docs" / "subscribers.md"
LINES_MAX: Final = 26


def program() -> str:
    """Return the page's Python."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_program_is_short() -> None:
    assert len(program().splitlines()) <= LINES_MAX


async def test_the_program_reads_from_zero_and_skips_repeats(kafka_bootstrap: str, make_topic: MakeTopic) -> None:
    topic = await make_topic(16)
    stream, wallet, other = Stream(), wallet_in(3), wallet_in(4)
    made = [
        stream.opened(wallet),
        stream.opened(other),
        *stream.deposit(wallet, 500),
        *stream.transfer(wallet, other, 125),
    ]
    await publish(kafka_bootstrap, topic, 16, [*made[:3], *made, *made])

    lines = await printed(kafka_bootstrap, topic, lines=5)

    assert sorted(lines) == sorted(
        [
            f"{wallet} wallet.opened.v1 0.00",
            f"{other} wallet.opened.v1 0.00",
            f"{wallet} wallet.funds_deposited.v1 5.00",
            f"{wallet} wallet.funds_sent.v1 3.75",
            f"{other} wallet.funds_received.v1 1.25",
        ]
    )


async def printed(bootstrap_servers: str, topic: str, *, lines: int) -> list[str]:
    """Run the program until it has printed *lines* lines, and one quiet moment longer to see that no more come."""
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "WALLET_TOPIC": topic}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program(), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    found: list[str] = []
    try:
        async with asyncio.timeout(30):
            while len(found) < lines:
                found.append((await process.stdout.readline()).decode().strip())
        try:
            async with asyncio.timeout(1):
                found.append((await process.stdout.readline()).decode().strip())
        except TimeoutError:
            return found
    finally:
        process.kill()
        await process.wait()
    return found
