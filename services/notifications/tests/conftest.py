"""A migrated database per test, the API over it, and workers that deliver from it."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from notifications import bootstrap
from notifications.config import NotificationsSettings
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.outbound.addresses import Address
from servicekit.outbound.targets import UrlRefusal, UrlRefused
from servicekit.postgres import Pool
from servicekit.principal import Principal
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database, Server, TemplateDatabase, migrated_template
from testkit.events import received
from testkit.notifications_api import Bench, Client, MakeBench
from testkit.running import running


@pytest.fixture(scope="session")
def database_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "notifications", bootstrap.migration_sources())


class FakeResolver:
    """DNS as a test has it."""

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {"localhost": [["127.0.0.1"]]}

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        del port
        answers = self.names.get(host)
        if not answers:
            raise UrlRefused(UrlRefusal.UNRESOLVABLE, "The host has no address.")
        return [ip_address(text) for text in (answers.pop(0) if len(answers) > 1 else answers[0])]


def telemetry_of(registry: CollectorRegistry | None = None, tracing: Tracing | None = None) -> Telemetry:
    return Telemetry("notifications", "test", "1", registry or CollectorRegistry(), tracing or Tracing("test", 0.0))


@pytest.fixture
def make_bench(database: Database, pool: Pool) -> MakeBench:
    @asynccontextmanager
    async def make(caller: Principal | None = None, **settings: Any) -> AsyncIterator[Bench]:
        defaults: dict[str, Any] = {
            "notifications_database_url": database.dsn_app,
            "notifications_reader_database_url": database.dsn_reader,
            "notifications_allow_loopback": True,
            "notifications_retry_delays_s": (1, 1, 1),
            "notifications_time_divisor": 100,
            "notifications_attempt_timeout_s": 15.0,
            "notifications_lease_s": 60.0,
            "drain_s": 1.0,
        }
        made, resolver = NotificationsSettings(**defaults | settings), FakeResolver()
        processor = Processor(
            bootstrap.make_projection(made),
            pool,
            ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), "notifications"),
        )

        @asynccontextmanager
        async def worker(
            *,
            tls: ssl.SSLContext | None = None,
            tracing: Tracing | None = None,
            registry: CollectorRegistry | None = None,
            **changes: Any,
        ) -> AsyncIterator[None]:
            telemetry, changed = telemetry_of(registry, tracing), made.model_copy(update=changes)
            async with (
                bootstrap.open_worker(changed, telemetry, pool, resolver=resolver, tls=tls) as work,
                running(work),
            ):
                yield

        async with (
            bootstrap.open_api(made, telemetry_of(), authority=AdmitsAs(caller), resolver=resolver) as app,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://notifications") as http,
        ):
            yield Bench(
                client=Client(http),
                pool=pool,
                worker=worker,
                apply=lambda events: processor.process([received(event, event.sequence) for event in events]),
                names=resolver.names,
            )

    return make


@pytest.fixture
async def bench(make_bench: MakeBench) -> AsyncIterator[Bench]:
    async with make_bench() as made:
        yield made
