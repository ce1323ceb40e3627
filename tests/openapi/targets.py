"""A service under test: how it is migrated, opened in this process, and what its requests are filled with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import requests
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp
from tests.openapi.conformance import Conformance, Excluded
from tests.openapi.filling import Fill, Filler
from tests.openapi.serving import served

from contracts.envelope import Envelope
from contracts.scopes import Kind
from servicekit.access.admission import Authority
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.projection import Projection
from servicekit.migrations import MigrationSource
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.service import Service
from servicekit.telemetry import Telemetry, Tracing
from testkit.databases import Database, Server, migrated_template
from testkit.events import received
from testkit.identities import introduce, make_test_key, rates_event, tenant_event

DOCUMENTS: Final = Path(__file__).parents[2] / "docs" / "openapi"
BEHIND_PROXY: Final[Mapping[str, Any]] = {"trusted_proxies": "127.0.0.1/32", "access_stale_s": 86_400}
"""Settings of every target: who tests is a proxy, which names the address of each request, and is never stale."""

UNBOUNDED: Final = dict.fromkeys(
    ("tenant", "user", "service", "operator", "wallet", "key_creation"), (1000000, 2000000)
)
"""Rates that no test meets."""

Prepare = Callable[[Database], Awaitable[None]]


async def nothing_more(_database: Database) -> None:
    """Leave the database as it was migrated."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A service under test. *open_api* takes the database, and an authority unless it is to have its own.

    *fills* takes the database and a client, and may make things.
    """

    service: Service
    migrations: Callable[[], Sequence[MigrationSource]]
    open_api: Callable[[Database, Telemetry, Authority | None], AbstractAsyncContextManager[ASGIApp]]
    fills: Callable[[Database, httpx2.Client], Mapping[str, Fill]]
    excluded: Sequence[Excluded] = ()

    @property
    def document(self) -> Path:
        """Where the service's document stands."""
        return DOCUMENTS / f"{self.service.slug}.json"

    @contextmanager
    def running(
        self, server: Server, *, prepare: Prepare = nothing_more, authority: Authority | None = None
    ) -> Iterator[tuple[str, Database]]:
        """Give the URL of the service on a fresh database of *server*, and that database.

        *prepare* changes the database before the service is opened on it; *authority* replaces the service's own.
        """
        made: list[Database] = []

        @asynccontextmanager
        async def open_app() -> AsyncIterator[ASGIApp]:
            template = migrated_template(server, self.service.name, self.migrations())
            telemetry = Telemetry(
                self.service.name, "api", self.service.version, CollectorRegistry(), Tracing(self.service.name, 0.0)
            )
            async with template.database() as database:
                await prepare(database)
                async with self.open_api(database, telemetry, authority) as app:
                    made.append(database)
                    yield app

        with served(open_app) as url:
            yield url, made[0]

    @contextmanager
    def under_test(self, server: Server) -> Iterator[Conformance]:
        """Give the running service, ready to be put through everything by a member of staff with every scope."""
        key = make_test_key(Kind.OPERATOR)

        async def prepare(database: Database) -> None:
            known = tenant_event(), rates_event(UNBOUNDED), *key.events()
            await introduce(database.dsn_app, *known, service=self.service.slug)

        with (
            self.running(server, prepare=prepare) as (url, database),
            httpx2.Client(base_url=url, headers=key.headers) as http,
            requests.Session() as session,
        ):
            filler = Filler(http, self.fills(database, http))
            yield Conformance(http, session, filler, {"Authorization": f"Bearer {key.text}"}, self.excluded)


def project(dsn: str, make: Callable[[Pool], AbstractAsyncContextManager[Projection]], stream: list[Envelope]) -> None:
    """Feed *stream* to the projection that *make* gives, as its consumer does."""

    async def main() -> None:
        async with (
            await open_pool(PoolSettings(dsn=dsn, application_name="openapi")) as pool,
            make(pool) as projection,
        ):
            processor = Processor(
                projection, pool, ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), projection.name)
            )
            await processor.process([received(event, event.sequence) for event in stream])

    asyncio.run(main())
