"""Waiting for what happens elsewhere: in a database, a broker or another task."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], Awaitable[bool]], *, within_s: float = 60) -> None:
    """Return once *condition* holds; raises TimeoutError if it does not *within_s*."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110  nothing in this process could set an event
            await asyncio.sleep(0.02)
