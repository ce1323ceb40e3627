"""The subscriber: its server in a process of its own, its endpoints, and what came to them."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from demo.http_client import HttpPool
from demo.stack import DemoError, Platform

READY_WITHIN_S: Final = 20.0
END_WITHIN_S: Final = 20.0
WALLETS_MAX: Final = 1_000
"""As many as one endpoint may name."""
_CREATED: Final = 201


class Received(NamedTuple):
    """A webhook with a right signature. *arrived_at_s* is in seconds since 1970."""

    event_id: UUID
    webhook_id: str
    occurred_at: str
    arrived_at_s: float


@dataclass(slots=True)
class Subscriber:
    """A running subscriber, with one endpoint once `subscribe` was called."""

    file: Path
    port: int
    process: asyncio.subprocess.Process
    wallet_ids: frozenset[UUID] = frozenset()
    endpoint_id: UUID | None = None
    _path: str = field(default="/hooks")

    async def subscribe(self, platform: Platform, wallet_ids: Collection[UUID] = ()) -> None:
        """Create the endpoint, for *wallet_ids* or for every wallet if there are none."""
        pool = HttpPool(platform.notifications_url, connections=1, credential=platform.credential)
        body = {"url": f"http://127.0.0.1:{self.port}{self._path}", "wallet_ids": [str(each) for each in wallet_ids]}
        answer = await pool.post("/v1/webhook-endpoints", "demo-endpoint", json.dumps(body).encode())
        pool.close()
        if answer.status != _CREATED:
            raise DemoError(f"no webhook endpoint: {answer.status} {answer.body.decode(errors='replace')}")
        endpoint: dict[str, Any] = json.loads(answer.body)
        await self._teach(endpoint["secret"])
        self.endpoint_id, self.wallet_ids = UUID(endpoint["id"]), frozenset(wallet_ids)

    async def stop(self) -> None:
        """End the server; everything that came is in the file then."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def received(self) -> Iterator[Received]:
        """Give every webhook with a right signature, ascending by event."""
        with closing(sqlite3.connect(self.file)) as database:
            rows = database.execute(
                "select event_id, webhook_id, occurred_at, arrived_at_s from received"
                " where is_verified order by event_id, arrived_at_s"
            )
            for event_id, *others in rows:
                yield Received(UUID(event_id), *others)

    def refused(self) -> int:
        """Return how many came with a wrong signature."""
        with closing(sqlite3.connect(self.file)) as database:
            count: int = database.execute("select count(*) from received where not is_verified").fetchone()[0]
        return count

    async def _teach(self, secret: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self._path} {secret}\n".encode())
        await asyncio.wait_for(self.process.stdout.readline(), READY_WITHIN_S)


@asynccontextmanager
async def subscribing(file: Path) -> AsyncIterator[Subscriber]:
    """Run a subscriber that keeps what comes in *file*."""
    file.parent.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demo.receiver", str(file)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    port = int(await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S))
    subscriber = Subscriber(file, port, process)
    try:
        yield subscriber
    finally:
        await subscriber.stop()
