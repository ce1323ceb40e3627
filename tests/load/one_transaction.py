"""The wallet's API with one transaction per request, to compare with: `python -m tests.load.one_transaction POOL`.

Everything is the product's own, joined by its `bootstrap`; the committer takes one unit at a time, on POOL connections
at once, each on locked rows. Run it with WALLET_BATCH_COMMANDS=1 and with neither the commit lock nor
pipelining (`ENVIRONMENT`).
"""

import asyncio
import sys
from typing import ClassVar, Final

from servicekit.lifecycle import run
from wallet.application.committer import Committer
from wallet.bootstrap.api import serve_api
from wallet.bootstrap.parts import Parts
from wallet.config import WalletSettings

ENVIRONMENT: Final = {"WALLET_BATCH_COMMANDS": "1", "WALLET_PIPELINING": "false", "WALLET_COMMIT_LOCK": "false"}


class OneByOne(Committer):
    """Commits each unit in a transaction of its own, as many at once as there are *connections*."""

    connections: ClassVar[int]

    async def run(self) -> None:
        sweeper = asyncio.create_task(self._queue.sweep_for_ever())
        try:
            await asyncio.gather(*(self._work() for _ in range(self.connections)))
        finally:
            sweeper.cancel()
            self._queue.abandon()

    async def _work(self) -> None:
        while await self._until_due():
            await self._next_batch()


def main(connections: int) -> int:
    """Run the process; return its exit code."""
    settings = WalletSettings()
    assert settings.wallet_batch_commands == 1
    assert not settings.wallet_pipelining
    committer = type("Pooled", (OneByOne,), {"connections": connections})
    return run(
        lambda shutdown: serve_api(settings, shutdown, parts=Parts(committer_class=committer)),
        drain_s=settings.drain_s,
    )


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
