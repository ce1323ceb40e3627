"""Jobs with a bug."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.chaos.platform.gate import Gate
from tests.chaos.platform.gated_maintenance import WRITES, GatedRun

from servicekit.postgres import Transaction, transaction


class UnfencedRun(GatedRun):
    """Writes without a look at the lease."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        await Gate.of_process().reach(WRITES, {})
        async with transaction(self.connection) as opened:
            yield opened
