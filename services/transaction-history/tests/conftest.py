"""A migrated database per test, and the API over it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.postgres import Pool
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database, Server, TemplateDatabase, migrated_template
from testkit.events import received
from testkit.read_api import ReadApi
from transaction_history import bootstrap
from transaction_history.config import HistorySettings


@pytest.fixture(scope="session")
def database_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "transaction_history", bootstrap.migration_sources())


@pytest.fixture
def open_bench(database: Database, pool: Pool) -> Callable[[], AbstractAsyncContextManager[ReadApi]]:
    """Give what opens the projection and the API over it."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[ReadApi]:
        settings = HistorySettings(
            transaction_history_database_url=database.dsn_app,
            transaction_history_reader_database_url=database.dsn_reader,
        )
        telemetry = Telemetry("transaction_history", "api", "1", CollectorRegistry(), Tracing("test", 0.0))
        metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), "probe")
        processor, authority = Processor(bootstrap.make_projection(settings), pool, metrics), AdmitsAs()
        async with (
            bootstrap.open_api(settings, telemetry, authority=authority) as app,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://history") as client,
        ):
            yield ReadApi(client, processor, authority, prefix="/v1/history")

    return opened


@pytest.fixture
async def bench(open_bench: Callable[[], AbstractAsyncContextManager[ReadApi]]) -> AsyncIterator[ReadApi]:
    async with open_bench() as opened:
        yield opened


@pytest.fixture
def indexer(pool: Pool) -> Processor:
    """Give what feeds events to the index as its consumer does."""
    projection = bootstrap.make_index_projection(HistorySettings(transaction_history_database_url="unused"))
    return Processor(projection, pool, ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), "index"))


@pytest.fixture
def index(bench: ReadApi, indexer: Processor) -> Callable[..., Awaitable[None]]:
    """Give what feeds events to both projections."""

    async def feed(*events: Envelope) -> None:
        await bench.project(*events)
        assert not await indexer.process([received(event, event.sequence) for event in events])

    return feed
