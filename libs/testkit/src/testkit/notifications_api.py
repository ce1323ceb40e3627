"""A client of the notifications API, and the whole service in one process, as tests speak to it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import httpx2
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.notices import NOTICE_STREAM, DeliveryExhausted, EndpointDisabled
from contracts.registry import TYPES_BY_NUMBER
from servicekit.postgres import Pool
from servicekit.principal import Principal
from servicekit.telemetry import Tracing
from testkit.events import Stream, wallet_in
from testkit.identities import CLIENTS_HEADERS

Json = dict[str, Any]
SETTLED_WITHIN_S = 30


class Client:
    """An API client with a fresh idempotency key per command."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        http.headers.setdefault("authorization", CLIENTS_HEADERS["authorization"])
        self._keys = 0

    async def post(self, path: str, body: Json | None = None, *, key: str | None = None) -> httpx2.Response:
        """Send a command under *key*, or under a fresh one."""
        self._keys += 1
        headers = {"Idempotency-Key": key or f"key-{self._keys}"}
        return await self.http.post(f"/v1/{path}", json=body, headers=headers)

    async def get(self, path: str, **query: str) -> httpx2.Response:
        """Read."""
        return await self.http.get(f"/v1/{path}", params=query)

    async def endpoint(self, url: str, **more: Any) -> Json:
        """Create an endpoint and return its body, secret included."""
        created = await self.post("webhook-endpoints", {"url": url, **more})
        assert created.status_code == httpx2.codes.CREATED, created.text
        body: Json = created.json()
        return body

    async def endpoint_now(self, endpoint_id: str) -> Json:
        """Return an endpoint as it is."""
        body: Json = (await self.get(f"webhook-endpoints/{endpoint_id}")).json()
        return body

    async def endpoint_until(self, endpoint_id: str, status: str) -> Json:
        """Return an endpoint once it has *status*; raise TimeoutError."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while True:
                now = await self.endpoint_now(endpoint_id)
                if now["status"] == status:
                    return now
                await asyncio.sleep(0.02)

    async def deliveries(self, **query: str) -> list[Json]:
        """Return the newest deliveries."""
        answer = await self.get("deliveries", limit="200", **query)
        assert answer.is_success, answer.text
        found: list[Json] = answer.json()["data"]
        return found

    async def attempts(self, delivery_id: str) -> list[Json]:
        """Return a delivery's attempts, newest first."""
        found: list[Json] = (await self.get(f"deliveries/{delivery_id}")).json()["attempts"]
        return found

    async def until(self, count: int, **query: str) -> list[Json]:
        """Return the deliveries that *query* finds once there are *count*; raise TimeoutError."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while True:
                found = await self.deliveries(**query)
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)


class RunWorker(Protocol):
    """Runs a worker until the body ends; *settings* replace the bench's."""

    def __call__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        tracing: Tracing | None = None,
        registry: CollectorRegistry | None = None,
        **settings: Any,
    ) -> AbstractAsyncContextManager[None]:
        """Give nothing: it works by itself."""


@dataclass
class Bench:
    """The service in one process. *names* is DNS: every look-up takes the next answer of a name, the last one stays."""

    client: Client
    pool: Pool
    worker: RunWorker
    apply: Callable[[list[Envelope]], Awaitable[object]]
    names: dict[str, list[list[str]]]
    stream: Stream = field(default_factory=Stream)

    async def project(self, *events: Envelope) -> None:
        """Feed events to the projection as its consumer does."""
        await self.apply(list(events))

    async def open_wallet(self, shard: int = 3) -> UUID:
        """Project the opening of a new wallet in *shard*, and return its id."""
        wallet = wallet_in(shard)
        await self.project(self.stream.opened(wallet))
        return wallet

    async def published(self) -> list[EndpointDisabled | DeliveryExhausted]:
        """Return what the service's outbox holds."""
        async with self.pool.connection() as connection:
            rows = await connection.fetch("select type, payload from servicekit.outbox order by shard, seq")
        return [NOTICE_STREAM.parse(TYPES_BY_NUMBER[row["type"]].name, row["payload"]) for row in rows]


class MakeBench(Protocol):
    """Gives a bench with some settings of its own, whose requests come from *caller*."""

    def __call__(self, caller: Principal | None = None, **settings: Any) -> AbstractAsyncContextManager[Bench]:
        """Give it."""
