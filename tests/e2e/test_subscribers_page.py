"""The subscriber's program in docs/subscribers.md, as it stands, with what the page has installed and nothing else."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from testkit.events import Stream, publish, wallet_in
from testkit.pytest_plugin import MakeTopic

pytestmark = pytest.mark.e2e

PAGE: Final = Path(__file__).parents[2] / "docs" / "subscribers.md"
LINES_MAX: Final = 26


INSTALL_S_MAX: Final = 100


def block(language: str) -> str:
    """Return the page's one block of *language*."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert isinstance(found, str)
    return found


def program() -> str:
    """Return the page's Python."""
    return block("python")


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the Python of an empty environment in which the page's command was run."""
    folder = tmp_path_factory.mktemp("newcomer")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=INSTALL_S_MAX)
    (command,) = block("bash").splitlines()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    installed = subprocess.run(
        shlex.split(command),
        env={**kept, "PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_S_MAX,
    )
    assert installed.returncode == 0, installed.stderr
    return folder / "bin" / "python"


def test_the_program_is_short() -> None:
    assert len(program().splitlines()) <= LINES_MAX


async def test_the_program_reads_from_zero_and_skips_repeats(
    newcomer: Path, kafka_bootstrap: str, make_topic: MakeTopic
) -> None:
    topic = await make_topic(16)
    stream, wallet, other = Stream(), wallet_in(3), wallet_in(4)
    made = [
        stream.opened(wallet),
        stream.opened(other),
        *stream.deposit(wallet, 500),
        *stream.transfer(wallet, other, 125),
    ]
    await publish(kafka_bootstrap, topic, 16, [*made[:3], *made, *made])

    lines = await printed(newcomer, kafka_bootstrap, topic, lines=5)

    assert sorted(lines) == sorted(
        [
            f"{wallet} wallet.opened.v1 0.00",
            f"{other} wallet.opened.v1 0.00",
            f"{wallet} wallet.funds_deposited.v1 5.00",
            f"{wallet} wallet.funds_sent.v1 3.75",
            f"{other} wallet.funds_received.v1 1.25",
        ]
    )


async def printed(python: Path, bootstrap_servers: str, topic: str, *, lines: int) -> list[str]:
    """Run the program until it has printed *lines* lines, and one quiet moment longer to see that no more come."""
    environment = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "WALLET_TOPIC": topic}
    process = await asyncio.create_subprocess_exec(
        str(python), "-c", program(), env=environment, stdout=asyncio.subprocess.PIPE
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
