"""A migrated database per test, and the API over it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.topics import WALLET_EVENTS
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.postgres import Pool
from servicekit.settings import AccessLog
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database, Server, TemplateDatabase, migrated_template
from testkit.events import received
from testkit.pytest_plugin import MakeTopic
from testkit.read_api import ReadApi
from testkit.running import running
from testkit.topic_bench import TopicBench
from transaction_history import bootstrap
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.domain.exports import PART_ROWS


@pytest.fixture(scope="session")
def database_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "transaction_history", bootstrap.migration_sources())


def settings_of(database: Database, folder: Path, **changes: Any) -> HistorySettings:
    """Return the settings of a test: files are kept below *folder*."""
    usual = {
        "transaction_history_database_url": database.dsn_app,
        "transaction_history_reader_database_url": database.dsn_reader,
        "transaction_history_objects_url": str(folder / "objects"),
    }
    return HistorySettings(**usual | changes)


@pytest.fixture
async def topic_settings(database: Database, kafka_bootstrap: str, make_topic: MakeTopic) -> HistorySettings:
    return HistorySettings(
        transaction_history_database_url=database.dsn_app,
        transaction_history_reader_database_url=database.dsn_reader,
        kafka_bootstrap_servers=kafka_bootstrap,
        transaction_history_topic=await make_topic(WALLET_EVENTS.partitions),
        transaction_history_drift_events_per_s=200,
    )


@pytest.fixture
def topic_bench(topic_settings: HistorySettings, pool: Pool) -> TopicBench:
    return TopicBench(
        consumer=topic_settings.projector.consumer,
        kafka_bootstrap=topic_settings.kafka_bootstrap_servers,
        topic=topic_settings.transaction_history_topic,
        partitions=WALLET_EVENTS.partitions,
        pool=pool,
    )


@pytest.fixture
def owner_settings(database: Database) -> HistoryOwnerSettings:
    return HistoryOwnerSettings(transaction_history_owner_database_url=database.dsn_owner)


@pytest.fixture
def open_worker(database: Database, pool: Pool, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[None]]:
    """Give what opens a worker; its arguments are parts' rows, and settings."""

    @asynccontextmanager
    async def opened(*, part_rows: int = PART_ROWS, **changes: Any) -> AsyncIterator[None]:
        settings = settings_of(database, tmp_path, drain_s=2.0, **changes)
        telemetry = Telemetry("transaction_history", "worker", "1", CollectorRegistry(), Tracing("test", 0.0))
        async with bootstrap.open_worker(settings, telemetry, pool, part_rows=part_rows) as worker, running(worker):
            yield

    return opened


@pytest.fixture
def open_bench(database: Database, pool: Pool, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[ReadApi]]:
    """Give what opens the projection and the API over it."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[ReadApi]:
        settings = settings_of(database, tmp_path, access_log=AccessLog.ALL)
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
