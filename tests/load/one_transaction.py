"""The wallet's API with one transaction per request, to compare with: `python -m tests.load.one_transaction POOL`.

Everything is the product's own, joined by its `bootstrap`; the committer takes one unit at a time, on POOL connections
at once, each on locked rows. Run it with WALLET_BATCH_COMMANDS=1 and neither a turn nor deciding ahead (`ENVIRONMENT`).
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import wallet.bootstrap
from servicekit.failures import Failure
from servicekit.process import Shutdown, run
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.committer import Committer
from wallet.application.ports import Fenced, Plan
from wallet.application.rows import BatchRows
from wallet.application.units import UnitKey
from wallet.config import WalletSettings
from wallet.domain.wallets import Wallet

ENVIRONMENT: Final = {"WALLET_BATCH_COMMANDS": "1", "WALLET_DECIDES_AHEAD": "false", "WALLET_TAKES_TURN": "false"}


class PooledLedger:
    """As many ledgers as there are connections: each commit takes one that is free."""

    def __init__(self, settings: WalletSettings, connections: int) -> None:
        self._ledgers = [
            PostgresLedger(settings.wallet_database_url, takes_turn=settings.wallet_takes_turn)
            for _ in range(connections)
        ]
        self._free = self._ledgers.copy()

    @property
    def connections(self) -> int:
        """How many commits may run at once."""
        return len(self._ledgers)

    async def commit(self, wallet_ids: Sequence[UUID], keys: Sequence[UnitKey], plan: Plan) -> list[int]:
        """See the port."""
        with self._one() as ledger:
            return await ledger.commit(wallet_ids, keys, plan)

    async def commit_fenced(self, keys: Sequence[UnitKey], named: Mapping[UUID, Wallet], rows: BatchRows) -> Fenced:
        """See the port."""
        with self._one() as ledger:
            return await ledger.commit_fenced(keys, named, rows)

    def classify(self, error: Exception) -> Failure:
        """See the port."""
        return self._ledgers[0].classify(error)

    async def close(self) -> None:
        """Close every connection."""
        for ledger in self._ledgers:
            await ledger.close()

    @contextmanager
    def _one(self) -> Iterator[PostgresLedger]:
        ledger = self._free.pop()  # there is one for every worker
        try:
            yield ledger
        finally:
            self._free.append(ledger)


class OneByOne(Committer):
    """Commits each unit in a transaction of its own, on all connections of its ledger at once."""

    async def run(self) -> None:
        assert isinstance(self._ledger, PooledLedger)
        sweeper = asyncio.create_task(self._queue.sweep_for_ever())
        try:
            await asyncio.gather(*(self._work() for _ in range(self._ledger.connections)))
        finally:
            sweeper.cancel()
            self._queue.abandon()

    async def _work(self) -> None:
        while await self._until_due():
            await self._next_batch()


async def _serve(settings: WalletSettings, shutdown: Shutdown, connections: int) -> None:
    ledger = PooledLedger(settings, connections)
    try:
        await wallet.bootstrap.serve_api(settings, shutdown, ledger=ledger, committer_class=OneByOne)
    finally:
        await ledger.close()


def main(connections: int) -> int:
    """Run the process; return its exit code."""
    settings = WalletSettings()
    assert settings.wallet_batch_commands == 1
    assert not settings.wallet_decides_ahead
    return run(lambda shutdown: _serve(settings, shutdown, connections), drain_s=settings.drain_s)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
