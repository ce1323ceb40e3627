"""What the kernel tells of processes that were stopped or killed."""

import asyncio

SEEN_WITHIN_S = 20.0


async def gone(pid: int) -> None:
    """Wait until the process, our own child, is dead; the platform reaps it when it starts it again."""
    await _in_state(pid, "Z")


async def stopped(pid: int) -> None:
    """Wait until the process stands still."""
    await _in_state(pid, "T")


async def _in_state(pid: int, state: str) -> None:
    async with asyncio.timeout(SEEN_WITHIN_S):
        while _state(pid) != state:  # noqa: ASYNC110  the event is in the kernel
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  not a file of anyone's
        return stat.read().rpartition(")")[2].split()[0]
