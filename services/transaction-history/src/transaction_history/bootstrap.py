"""The one place where the service's parts are joined, by hand, from arguments."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Final

from contracts.topics import WALLET_EVENTS
from servicekit.access.admission import Authority
from servicekit.access.opening import open_authority
from servicekit.access.projection import access_source
from servicekit.consumer import consumer_source
from servicekit.consumer.metrics import ConsumerFamilies
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner
from servicekit.consumer.topic_reader import open_topic
from servicekit.health import Check
from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.lifecycle import Shutdown
from servicekit.limits import limits_source
from servicekit.migrations import MigrationSource, Roles, servicekit_source
from servicekit.postgres import Pool, open_pool
from servicekit.read_answers import lag_check
from servicekit.read_model.projected import Projected
from servicekit.service import Service, own_migrations, processes
from servicekit.service.consuming import make_runner
from servicekit.service.processes import database_check, health_pool_settings
from servicekit.telemetry import PoolCollector, Telemetry
from servicekit.tenant_pool import open_tenants
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.domain.private_text import ClearText
from transaction_history.domain.terms import Hasher
from transaction_history.entrypoints.routes import (
    balance_routes,
    owner_entry_routes,
    transaction_routes,
    wallet_entry_routes,
)
from transaction_history.entrypoints.search import search_routes
from transaction_history.indexing.index_postgres import PostgresIndex
from transaction_history.indexing.projection import INDEX, IndexProjection
from transaction_history.maintenance.index_jobs import index_jobs
from transaction_history.maintenance.rebuild import Comparison, Rebuild
from transaction_history.projection.projection import HistoryProjection
from transaction_history.projection.read_model_postgres import SCHEMA, PostgresReadModel
from transaction_history.reads.queries import HistoryQueries
from transaction_history.reads.reads_postgres import HistoryReads
from transaction_history.reads.search import SearchQueries

SERVICE: Final = Service(name="transaction_history", version=metadata.version("transaction-history"))


def history_source() -> MigrationSource:
    """Return the read model's own migrations."""
    return own_migrations("transaction_history", __file__)


def index_source() -> MigrationSource:
    """Return the index's migrations and functions, which a rebuild of the read model leaves alone."""
    folder = history_source().folder / "index"
    return MigrationSource(INDEX, folder, folder / "functions")


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables, the consumer's, the read model, the index."""
    return [servicekit_source(), consumer_source(), access_source(), limits_source(), history_source(), index_source()]


def make_projection(settings: HistorySettings) -> HistoryProjection:
    """Return the live projection."""
    return HistoryProjection(PostgresReadModel(), name=SCHEMA, topic=settings.transaction_history_topic)


def make_index_projection(settings: HistorySettings) -> IndexProjection:
    """Return the live projection of the index."""
    return IndexProjection(
        PostgresIndex(INDEX, segment=settings.transaction_history_search_segment),
        private_text=ClearText(),
        hasher=Hasher(settings.search_key),
        name=INDEX,
        topic=settings.transaction_history_topic,
    )


# -- the API


async def serve_api(settings: HistorySettings, shutdown: Shutdown) -> None:
    """Run the API process until *shutdown*."""
    await processes.serve_api(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        dsn=settings.transaction_history_database_url,
        open_app=lambda telemetry: open_api(settings, telemetry),
    )


@asynccontextmanager
async def open_api(
    settings: HistorySettings, telemetry: Telemetry, *, authority: Authority | None = None
) -> AsyncIterator[Edge]:
    """Give the API's application; *authority* replaces its own."""
    pools = settings.api.pool
    async with await open_pool(pools) as pool, await open_pool(health_pool_settings(pools)) as health:
        telemetry.registry.register(PoolCollector("reads", pool))
        async with (
            Projected(pool, SCHEMA) as projected,
            _open_search(settings, telemetry, projected) as search,
            open_authority(settings.knowing, telemetry.registry, authority) as admitting,
        ):
            queries = HistoryQueries(HistoryReads(await open_tenants(pool)), projected)
            yield _app(
                settings, telemetry, admitting, queries=queries, search=search, health=health, projected=projected
            )


@asynccontextmanager
async def _open_search(
    settings: HistorySettings, telemetry: Telemetry, ledger: Projected
) -> AsyncIterator[SearchQueries]:
    """Give what searches, over connections of its own: they plan otherwise, and nobody else waits for them."""
    async with await open_pool(settings.searching) as pool, Projected(pool, INDEX) as index:
        telemetry.registry.register(PoolCollector("search", pool))
        yield SearchQueries(
            await open_tenants(pool),
            index=index,
            ledger=ledger,
            private_text=ClearText(),
            hasher=Hasher(settings.search_key),
        )


def _app(
    settings: HistorySettings,
    telemetry: Telemetry,
    authority: Authority,
    *,
    queries: HistoryQueries,
    search: SearchQueries,
    health: Pool,
    projected: Projected,
) -> Edge:
    async def deep() -> Mapping[str, Check]:
        return {**await database_check(health), **await lag_check(projected)}

    return create_app(
        title="Transaction history",
        description="The query side: what happened to wallets, read from the events alone.",
        settings=settings,
        telemetry=telemetry,
        authority=authority,
        routes=[
            *wallet_entry_routes(queries),
            *owner_entry_routes(queries),
            *transaction_routes(queries),
            *balance_routes(queries),
            *search_routes(search),
        ],
        readiness=lambda: database_check(health),
        deep=deep,
    )


async def run_projector(
    settings: HistorySettings,
    shutdown: Shutdown,
    *,
    projection: Projection | None = None,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the projector process until *shutdown*, or until its consumer cannot go on."""
    await processes.run_consumer(
        settings,
        shutdown,
        service=SERVICE,
        process=settings.projector,
        projection=projection or make_projection(settings),
        runner_class=runner_class,
    )


async def run_indexer(
    settings: HistorySettings,
    shutdown: Shutdown,
    *,
    projection: Projection | None = None,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the indexer process until *shutdown*, or until its consumer cannot go on.

    It knows no identities: a revocation must not wait for a large poll to be folded.
    """
    process = settings.indexer
    async with (
        processes.open_process(settings, SERVICE, process.name, dsn=process.pool.dsn) as telemetry,
        await open_pool(process.pool) as pool,
    ):
        telemetry.registry.register(PoolCollector(process.name, pool))
        runner = make_runner(
            process.consumer,
            projection=projection or make_index_projection(settings),
            telemetry=telemetry,
            families=ConsumerFamilies(telemetry.registry),
            pool=pool,
            runner_class=runner_class,
        )
        jobs = index_jobs(settings.transaction_history_search_segment)
        async with processes.maintaining(
            jobs, dsn=process.pool.dsn, service=SERVICE, process=process.name, telemetry=telemetry
        ):
            await processes.run_beside_pages(
                settings,
                shutdown,
                telemetry=telemetry,
                name=process.name,
                port=process.port,
                pool=pool,
                work=runner.run,
                deep=runner.check,
            )


async def rebuild(
    settings: HistorySettings,
    owner: HistoryOwnerSettings,
    *,
    switch: bool,
    partitions: int = WALLET_EVENTS.partitions,
) -> Comparison:
    """Build the read model a second time from the topic's beginning, compare, and switch where asked."""
    topic = settings.transaction_history_topic
    async with (
        await open_pool(settings.rebuilding) as pool,
        open_topic(settings.brokers, topic, partitions) as reader,
    ):
        rebuilding = Rebuild(
            owner_dsn=owner.transaction_history_owner_database_url,
            roles=Roles(owner.transaction_history_app_role, owner.transaction_history_reader_role),
            pool=pool,
            source=history_source(),
            topic=topic,
        )
        return await rebuilding.run(reader, switch=switch)
