"""What works until it is asked to end, beside a test's body."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from servicekit.lifecycle import Shutdown

ENDED_WITHIN_S = 30


class Runs(Protocol):
    """What runs until the end is requested."""

    async def run(self, shutdown: Shutdown) -> None:
        """Run."""


@asynccontextmanager
async def running(work: Runs) -> AsyncIterator[None]:
    """Run *work* beside the body, and see it end in order."""
    shutdown = Shutdown()
    task = asyncio.create_task(work.run(shutdown))
    try:
        yield
    finally:
        shutdown.request()
        async with asyncio.timeout(ENDED_WITHIN_S):
            await task
