"""Clients that read while a fault lasts: many at once, each answer timed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from tests.chaos.load.client import HttpClient, Unanswered
from tests.chaos.load.exchanges import Exchange, timed
from tests.chaos.run import Run

from wallet.config import WalletSettings

READ_WITHIN_S = WalletSettings.model_fields["request_deadline_s"].default + 2.0
"""The deadline of a read, and what it takes to give its connection up."""
READERS = 12
"""Of each process: more than its pool has connections."""
READ_EVERY_S = 0.1
assert WalletSettings.model_fields["wallet_read_connections"].default < READERS


@asynccontextmanager
async def reading(run: Run, ports: Sequence[int]) -> AsyncIterator[list[Exchange]]:
    """Have many clients read wallets at each of *ports* during the body; give what comes of it.

    It is complete when the body has ended: whoever still waits then is waited for.
    """
    found: list[Exchange] = []
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as readers:
        for wallet in run.bank.wallets[:READERS]:
            for port in ports:
                http = HttpClient(port, within_s=2 * READ_WITHIN_S)
                readers.create_task(_read_until(stop, http, _path(run, port, wallet), found))
        try:
            yield found
        finally:
            stop.set()


def _path(run: Run, port: int, wallet_id: str) -> str:
    of_history = port == run.platform.port("history")
    return f"/v1/history/wallets/{wallet_id}" if of_history else f"/v1/wallets/{wallet_id}"


async def _read_until(stop: asyncio.Event, http: HttpClient, path: str, found: list[Exchange]) -> None:
    try:
        while not stop.is_set():
            with suppress(Unanswered):
                await timed(http, found, "GET", path)
            await asyncio.sleep(READ_EVERY_S)
    finally:
        http.close()
