"""What the kernel tells of processes that were stopped or killed."""

import asyncio
from pathlib import Path

SEEN_WITHIN_S = 20.0


async def gone(pid: int) -> None:
    """Wait until the process is dead, reaped or not."""
    await _in_state(pid, "ZX")


async def stopped(pid: int) -> None:
    """Wait until the process stands still."""
    await _in_state(pid, "T")


async def _in_state(pid: int, states: str) -> None:
    async with asyncio.timeout(SEEN_WITHIN_S):
        while _state(pid) not in states:  # noqa: ASYNC110  the event is in the kernel
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "X"
    return stat.rpartition(")")[2].split()[0]
