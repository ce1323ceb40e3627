"""A service under test: how it is migrated, opened in this process, and what its requests are filled with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import requests
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp
from tests.openapi.conformance import Conformance, Excluded
from tests.openapi.filling import Fill, Filler
from tests.openapi.serving import served

from contracts.envelope import Envelope
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.projection import Projection
from servicekit.migrations import MigrationSource, migrate
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.service import Service
from servicekit.telemetry import Telemetry, Tracing
from testkit.databases import Server, TemplateDatabase
from testkit.events import received

DOCUMENTS: Final = Path(__file__).parents[2] / "docs" / "openapi"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A service under test. *open_api* takes the app role's address; *fills* that and a client, and may make things."""

    service: Service
    migrations: Callable[[], Sequence[MigrationSource]]
    open_api: Callable[[str, Telemetry], AbstractAsyncContextManager[ASGIApp]]
    fills: Callable[[str, httpx2.Client], Mapping[str, Fill]]
    excluded: Sequence[Excluded] = ()

    @property
    def document(self) -> Path:
        """Where the service's document stands."""
        return DOCUMENTS / f"{self.service.slug}.json"

    @contextmanager
    def running(self, server: Server) -> Iterator[tuple[str, str]]:
        """Give the URL of the service on a fresh database of *server*, and that database's address."""
        app_dsn = ""

        @asynccontextmanager
        async def open_app() -> AsyncIterator[ASGIApp]:
            nonlocal app_dsn
            template = TemplateDatabase(server, service=self.service.name, migrate=self._migrate)
            telemetry = Telemetry(
                self.service.name, "api", self.service.version, CollectorRegistry(), Tracing(self.service.name, 0.0)
            )
            async with template.database() as database, self.open_api(database.dsn_app, telemetry) as app:
                app_dsn = database.dsn_app
                yield app

        with served(open_app) as url:
            yield url, app_dsn

    @contextmanager
    def under_test(self, server: Server) -> Iterator[Conformance]:
        """Give the running service, ready to be put through everything."""
        with (
            self.running(server) as (url, app_dsn),
            httpx2.Client(base_url=url) as http,
            requests.Session() as session,
        ):
            yield Conformance(http, session, Filler(http, self.fills(app_dsn, http)), self.excluded)

    async def _migrate(self, owner_dsn: str) -> None:
        await migrate(owner_dsn, self.migrations(), app_role=f"{self.service.name}_app")


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
