"""A migrated database per test, the API over it, and workers that deliver from it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Protocol
from uuid import UUID

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope, to_headers
from notifications import bootstrap
from notifications.application.ports import Resolver
from notifications.config import NotificationsSettings
from notifications.domain.addresses import Address
from notifications.domain.targets import Refusal, UrlRefused
from servicekit.consumer.metrics import ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.records import Received
from servicekit.migrations import migrate
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.process import Shutdown
from servicekit.telemetry import Telemetry, Tracing
from testkit.databases import Database, Server, TemplateDatabase
from testkit.events import SCHEMA_BASE, Stream

Json = dict[str, Any]


@pytest.fixture(scope="session")
def notifications_template(postgres_server: Server) -> TemplateDatabase:
    async def run(dsn_owner: str) -> None:
        await migrate(dsn_owner, bootstrap.migration_sources(), app_role="notifications_app")

    return TemplateDatabase(postgres_server, service="notifications", migrate=run)


@pytest.fixture
async def database(notifications_template: TemplateDatabase) -> AsyncIterator[Database]:
    async with notifications_template.database() as made:
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened


@dataclass
class FakeResolver:
    """DNS as a test has it: names with their addresses; each look-up takes the next answer, the last one stays."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        del port
        answers = self.names.get(host, [["127.0.0.1"]] if host == "localhost" else [])
        if not answers:
            raise UrlRefused(Refusal.UNRESOLVABLE, "The host has no address.")
        return [ip_address(text) for text in (answers.pop(0) if len(answers) > 1 else answers[0])]


@dataclass
class Bench:
    """The service in one process: its API, its projection, and workers on demand."""

    settings: NotificationsSettings
    pool: Pool
    client: httpx2.AsyncClient
    resolver: FakeResolver
    processor: Processor
    stream: Stream = field(default_factory=Stream)
    keys: int = 0

    async def project(self, *events: Envelope) -> None:
        """Feed events to the projection as its consumer does."""
        await self.processor.process([record_of(event) for event in events])

    async def post(self, path: str, body: Json | None = None, *, key: str | None = None) -> httpx2.Response:
        self.keys += 1
        headers = {"Idempotency-Key": key or f"key-{self.keys}"}
        return await self.client.post(f"/v1/{path}", json=body, headers=headers)

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(f"/v1/{path}")
        assert answer.status_code == status, answer.text
        return answer.json()

    async def endpoint(self, url: str, **more: Any) -> Json:
        """Create an endpoint and return its body, secret included."""
        created = await self.post("webhook-endpoints", {"url": url, **more})
        assert created.status_code == 201, created.text
        body: Json = created.json()
        return body

    async def deliveries(self, **query: str) -> list[Json]:
        answer = await self.client.get("/v1/deliveries", params={"limit": "200", **query})
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["data"]
        return found

    async def settled(self, count: int, status: str = "delivered") -> list[Json]:
        """Return the deliveries with *status* once there are *count*."""
        async with asyncio.timeout(30):
            while len(found := await self.deliveries(status=status)) < count:
                await asyncio.sleep(0.02)
        return found

    async def attempts(self, delivery_id: str) -> list[Json]:
        found: list[Json] = (await self.get(f"deliveries/{delivery_id}"))["attempts"]
        return found

    @asynccontextmanager
    async def worker(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        tracing: Tracing | None = None,
        registry: CollectorRegistry | None = None,
        **settings: Any,
    ) -> AsyncIterator[None]:
        """Run a worker until the body ends."""
        telemetry = telemetry_of(registry, tracing)
        shutdown = Shutdown()
        changed = self.settings.model_copy(update=settings)
        async with bootstrap.open_worker(changed, telemetry, self.pool, resolver=self.resolver, tls=tls) as worker:
            running = asyncio.create_task(worker.run(shutdown))
            try:
                yield
            finally:
                shutdown.request()
                async with asyncio.timeout(30):
                    await running


class MakeBench(Protocol):
    """Gives a bench with some settings of its own."""

    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[Bench]: ...


def telemetry_of(registry: CollectorRegistry | None = None, tracing: Tracing | None = None) -> Telemetry:
    return Telemetry("notifications", "test", "1", registry or CollectorRegistry(), tracing or Tracing("test", 0.0))


def record_of(event: Envelope) -> Received:
    headers = to_headers(event, schema_base=SCHEMA_BASE)
    place = (event.shard, event.sequence, event.event_id, event.subject)
    return Received(*place, 0, event.sequence, headers, event.data, event, None)


@pytest.fixture
def make_bench(database: Database, pool: Pool) -> MakeBench:
    @asynccontextmanager
    async def make(**settings: Any) -> AsyncIterator[Bench]:
        defaults: Json = {
            "notifications_database_url": database.dsn_app,
            "notifications_allow_loopback": True,
            "notifications_retry_delays_s": (1, 1, 1),
            "notifications_time_divisor": 100,
            "notifications_attempt_timeout_s": 2.0,
            "notifications_lease_s": 8.0,
        }
        made = NotificationsSettings(**defaults | settings)
        resolver = FakeResolver()
        metrics = ConsumerMetrics(CollectorRegistry(), "notifications")
        processor = Processor(bootstrap.make_projection(made), pool, metrics)
        async with (
            bootstrap.open_api(made, telemetry_of(), resolver=resolver) as app,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://notifications") as client,
        ):
            yield Bench(made, pool, client, resolver, processor)

    return make


@pytest.fixture
async def bench(make_bench: MakeBench) -> AsyncIterator[Bench]:
    async with make_bench() as made:
        yield made
