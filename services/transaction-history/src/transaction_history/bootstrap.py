"""The one place where the service's parts are joined, by hand, from arguments."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
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
from servicekit.http.routes.keyed import KeyedCommands
from servicekit.idempotency import Once
from servicekit.lifecycle import Shutdown, run_together
from servicekit.limits import limits_source
from servicekit.maintenance import maintenance_source
from servicekit.migrations import MigrationSource, Roles, servicekit_source
from servicekit.postgres import Pool, open_pool
from servicekit.read_answers import lag_check
from servicekit.read_model.projected import Projected
from servicekit.relay import relay_source
from servicekit.relay.outbox import outbox_journal, outbox_source
from servicekit.service import Service, own_migrations, processes
from servicekit.service.consuming import make_runner
from servicekit.service.processes import database_check, health_pool_settings
from servicekit.telemetry import PoolCollector, Telemetry
from servicekit.tenant_pool import TenantPool, open_tenants
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.domain.exports import PART_ROWS
from transaction_history.domain.jobs import Kind
from transaction_history.domain.private_text import ClearText
from transaction_history.domain.terms import Hasher
from transaction_history.entrypoints.balance_routes import balance_routes
from transaction_history.entrypoints.downloads import downloads_page
from transaction_history.entrypoints.entry_routes import entry_routes
from transaction_history.entrypoints.export_handlers import ExportHandlers
from transaction_history.entrypoints.export_routes import export_routes, link_routes
from transaction_history.entrypoints.job_routes import job_routes
from transaction_history.entrypoints.search import search_routes
from transaction_history.entrypoints.total_routes import total_routes
from transaction_history.entrypoints.transaction_routes import transaction_routes
from transaction_history.entrypoints.wallet_routes import wallet_routes
from transaction_history.exports.exporter import Exporter
from transaction_history.exports.reading_postgres import ExportReader
from transaction_history.indexing.index_postgres import PostgresIndex
from transaction_history.indexing.projection import INDEX, IndexProjection
from transaction_history.jobs.commands import JobCommands
from transaction_history.jobs.maintaining_postgres import JobKeeping
from transaction_history.jobs.metrics import JobMetrics
from transaction_history.jobs.objects import Objects, objects_check
from transaction_history.jobs.queries import JobQueries
from transaction_history.jobs.queue_postgres import JobQueue
from transaction_history.jobs.worker import Worker
from transaction_history.maintenance.folds import ReadModelOutdated, is_current
from transaction_history.maintenance.index_jobs import index_jobs
from transaction_history.maintenance.ledger_jobs import ledger_jobs, partitions_check
from transaction_history.maintenance.rebuild import Comparison, Rebuild, Rebuildable
from transaction_history.projection.projection import HistoryProjection
from transaction_history.projection.read_model_postgres import SCHEMA, PostgresReadModel
from transaction_history.reads.search import SearchQueries
from transaction_history.reads.targets import PRIMARY, Target, Targets, open_targets
from transaction_history.reads.totals import CountedReads
from transaction_history.reads.view import Views

SOURCE: Final = "/transaction-history"
"""The `ce_source` of every event of this service."""
SERVICE: Final = Service(name="transaction_history", version=metadata.version("transaction-history"))


def history_source() -> MigrationSource:
    """Return the read model's own migrations."""
    return own_migrations("transaction_history", __file__)


def jobs_source() -> MigrationSource:
    """Return the migrations of what does not come from events, which no rebuild makes anew."""
    own = history_source()
    return MigrationSource("history_jobs", own.folder / "jobs")


def index_source() -> MigrationSource:
    """Return the index's migrations and functions, which a rebuild of the read model leaves alone."""
    folder = history_source().folder / "index"
    return MigrationSource(INDEX, folder, folder / "functions")


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables, the read model, its index, the jobs."""
    return [
        servicekit_source(),
        maintenance_source(),
        consumer_source(),
        access_source(),
        relay_source(),
        outbox_source(),
        limits_source(),
        history_source(),
        index_source(),
        jobs_source(),
    ]


def make_projection(settings: HistorySettings, schema: str = SCHEMA) -> HistoryProjection:
    """Return the live projection, or the one that a rebuild writes to *schema* with."""
    return HistoryProjection(PostgresReadModel(schema), name=schema, topic=settings.transaction_history_topic)


def make_index_projection(settings: HistorySettings, schema: str = INDEX) -> IndexProjection:
    """Return the live projection of the index, or the one that a rebuild writes to *schema* with."""
    return IndexProjection(
        PostgresIndex(schema, segment=settings.transaction_history_search_segment),
        private_text=ClearText(),
        hasher=Hasher(settings.search_key),
        name=schema,
        topic=settings.transaction_history_topic,
    )


async def refuse_outdated_model(settings: HistorySettings) -> None:
    """Raise ReadModelOutdated where the tables are those of the release before, which only a rebuild replaces."""
    async with await open_pool(settings.rebuilding) as pool, pool.connection() as connection:
        if not await is_current(connection, SCHEMA):
            raise ReadModelOutdated("the read model is of the release before: run `projections rebuild --switch` first")


# -- the API


async def serve_api(settings: HistorySettings, shutdown: Shutdown) -> None:
    """Run the API process until *shutdown*; raises ReadModelOutdated."""
    await refuse_outdated_model(settings)
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
    async with (
        await open_pool(pools) as pool,
        await open_pool(settings.commands) as commands,
        await open_pool(health_pool_settings(pools)) as health,
    ):
        telemetry.registry.register(PoolCollector("reads", pool))
        telemetry.registry.register(PoolCollector("commands", commands))
        async with (
            Projected(pool, SCHEMA) as projected,
            Projected(pool, INDEX) as index,
            _open_search(settings, telemetry, projected) as search,
            open_authority(settings.knowing, telemetry.registry, authority) as admitting,
        ):
            tenants = await open_tenants(pool)
            exporting = _export_handlers(settings, commands, tenants)
            primary = Target(PRIMARY, tenants, projected)
            async with open_targets(primary, settings.replicas, telemetry.registry) as targets:
                yield _app(
                    settings,
                    telemetry,
                    admitting,
                    targets=targets,
                    health=health,
                    index=index,
                    search=search,
                    exporting=exporting,
                )


def _export_handlers(settings: HistorySettings, commands: Pool, tenants: TenantPool) -> ExportHandlers:
    return ExportHandlers(
        pool=commands,
        keyed=KeyedCommands(Once(commands, table="history_jobs.idempotency")),
        commands=JobCommands(),
        queries=JobQueries(tenants),
        objects=_open_objects(settings),
        link_key=settings.link_key,
    )


def _open_objects(settings: HistorySettings) -> Objects:
    return Objects(settings.objects_url, settings.objects_options)


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
    targets: Targets,
    search: SearchQueries,
    health: Pool,
    index: Projected,
    exporting: ExportHandlers,
) -> Edge:
    async def deep() -> Mapping[str, Check]:
        objects = await objects_check(exporting.objects)
        lags = {**await lag_check(targets.primary.projected), "index": (await lag_check(index))["projection"]}
        return {**await database_check(health), **lags, **objects, **targets.check()}

    views = Views(targets)
    return create_app(
        title="Transaction history",
        description="The query side: what happened to wallets, read from the events alone.",
        settings=settings,
        telemetry=telemetry,
        authority=authority,
        routes=[
            *entry_routes(views, search),
            *transaction_routes(views),
            *balance_routes(views),
            *wallet_routes(views),
            *total_routes(views, CountedReads(index)),
            *search_routes(search),
            *job_routes(exporting.queries, exporting.keyed, exporting.commands),
            *export_routes(exporting),
            *link_routes(exporting),
        ],
        readiness=lambda: database_check(health),
        deep=deep,
        public_pages=(downloads_page(exporting.queries, exporting.objects, exporting.link_key),),
    )


async def run_projector(
    settings: HistorySettings,
    shutdown: Shutdown,
    *,
    projection: Projection | None = None,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the projector process until *shutdown*, or until its consumer cannot go on; raises ReadModelOutdated."""
    await refuse_outdated_model(settings)
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


# -- the worker


async def run_worker(settings: HistorySettings, shutdown: Shutdown) -> None:
    """Run the process that carries jobs out and publishes what became of them, until *shutdown*."""
    process = settings.worker
    async with (
        processes.open_process(settings, SERVICE, "worker", dsn=process.pool.dsn) as telemetry,
        await open_pool(process.pool) as pool,
        await open_pool(process.relaying) as relaying,
        open_worker(settings, telemetry, pool) as worker,
    ):
        relay = processes.make_relay(process.relay, telemetry=telemetry, pool=relaying, journal=outbox_journal(SOURCE))
        objects = _open_objects(settings)

        async def deep() -> Mapping[str, Check]:
            return {
                **await relay.check(),
                **await objects_check(objects),
                "partitions": await partitions_check(pool),
            }

        await processes.run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name="worker",
            port=process.port,
            pool=pool,
            work=lambda end: run_together(end, worker.run, relay.run),
            deep=deep,
        )


@asynccontextmanager
async def open_worker(
    settings: HistorySettings, telemetry: Telemetry, pool: Pool, *, part_rows: int = PART_ROWS
) -> AsyncIterator[Worker]:
    """Give a worker that writes through *pool*, with its maintenance at work; *part_rows* is for tests."""
    process, objects = settings.worker, _open_objects(settings)
    metrics = JobMetrics(telemetry.registry)
    keeping = JobKeeping(
        objects,
        metrics,
        lease_s=settings.transaction_history_job_lease_s,
        keys_days=settings.transaction_history_idempotency_days,
    )
    telemetry.registry.register(PoolCollector("worker", pool))
    async with (
        await open_pool(process.reads) as reads,
        processes.maintaining(
            [*keeping.jobs(), *ledger_jobs()],
            dsn=settings.transaction_history_database_url,
            service=SERVICE,
            process="worker",
            telemetry=telemetry,
        ),
    ):
        exporter = Exporter(ExportReader(await open_tenants(reads)), objects, ClearText(), part_rows=part_rows)
        yield Worker(
            process.working,
            queue=JobQueue(pool, lease_s=process.working.lease_s),
            kinds={Kind.EXPORT: exporter},
            metrics=metrics,
        )


class Rebuilt(StrEnum):
    """Which projection is rebuilt."""

    LEDGER = "ledger"
    INDEX = "index"


def _rebuildable(settings: HistorySettings, what: Rebuilt) -> Rebuildable:
    if what is Rebuilt.LEDGER:
        return Rebuildable(
            name=SCHEMA,
            source=history_source(),
            projecting=lambda schema: make_projection(settings, schema),
            may_be_outdated=True,
        )
    return Rebuildable(
        name=INDEX,
        source=index_source(),
        projecting=lambda schema: make_index_projection(settings, schema),
        # Segments are made ahead, and minutes are forgotten.
        uncompared=frozenset({"search_segment", "minute_total"}),
        names_itself=True,
    )


async def rebuild(
    settings: HistorySettings,
    owner: HistoryOwnerSettings,
    *,
    switch: bool,
    what: Rebuilt = Rebuilt.LEDGER,
    partitions: int = WALLET_EVENTS.partitions,
) -> Comparison:
    """Build a projection a second time from the topic's beginning, compare, and switch where asked."""
    topic = settings.transaction_history_topic
    async with (
        await open_pool(settings.rebuilding) as pool,
        open_topic(settings.brokers, topic, partitions) as reader,
    ):
        rebuilding = Rebuild(
            _rebuildable(settings, what),
            owner_dsn=owner.transaction_history_owner_database_url,
            roles=Roles(owner.transaction_history_app_role, owner.transaction_history_reader_role),
            pool=pool,
        )
        return await rebuilding.run(reader, switch=switch)
