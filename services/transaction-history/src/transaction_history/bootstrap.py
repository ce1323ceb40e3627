"""The one place where the service's parts are joined, by hand, from arguments."""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import metadata, resources
from pathlib import Path
from typing import Final
from uuid import UUID

from contracts.topics import WALLET_EVENTS
from servicekit.consumer import checkpoints, consumer_source, operations, parking
from servicekit.consumer.checkpoints import Progress
from servicekit.consumer.metrics import ConsumerMetrics
from servicekit.consumer.operations import ParkedWallet, ShardStatus, Unparked
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner, ConsumerSettings
from servicekit.http.app import create_app, create_process_app
from servicekit.http.edge import Edge
from servicekit.http.health import Check
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.process import Shutdown, event_loop_delay, serve_http
from servicekit.reads import PositionWaiter
from servicekit.telemetry import PoolCollector, Telemetry, open_telemetry
from transaction_history.adapters.read_model_postgres import SCHEMA, PostgresReadModel
from transaction_history.adapters.reads_postgres import PostgresReads
from transaction_history.adapters.rebuild import Comparison, Rebuild
from transaction_history.adapters.topic_reader import open_topic
from transaction_history.application.projection import HistoryProjection
from transaction_history.application.queries import HistoryQueries
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.entrypoints.routes import history_routes

VERSION: Final = metadata.version("transaction-history")
SERVICE: Final = "transaction_history"


def history_source() -> MigrationSource:
    """Return the read model's own migrations."""
    beside_sources = Path(__file__).parents[2] / "migrations"
    folder = beside_sources if beside_sources.is_dir() else resources.files(__package__) / "migrations"
    return MigrationSource(SERVICE, folder)


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables, the consumer's, the read model."""
    return [servicekit_source(), consumer_source(), history_source()]


def make_projection(settings: HistorySettings) -> HistoryProjection:
    """Return the live projection."""
    return HistoryProjection(PostgresReadModel(), name=SCHEMA, topic=settings.transaction_history_topic)


# -- the API


async def serve_api(settings: HistorySettings, shutdown: Shutdown) -> None:
    """Run the API process until *shutdown*."""
    telemetry = open_telemetry(settings, service=SERVICE, process="api", version=VERSION)
    try:
        async with open_api(settings, telemetry) as app, event_loop_delay(telemetry.registry):
            await serve_http(
                app,
                host=settings.host,
                port=settings.transaction_history_api_port,
                shutdown=shutdown,
                drain_s=settings.drain_s,
                port_setting="TRANSACTION_HISTORY_API_PORT",
            )
    finally:
        telemetry.close()


@asynccontextmanager
async def open_api(settings: HistorySettings, telemetry: Telemetry) -> AsyncIterator[Edge]:
    """Give the API's application."""
    pool_settings = _pool(settings, "transaction-history-api", settings.transaction_history_read_connections)
    async with await open_pool(pool_settings) as pool:
        telemetry.registry.register(PoolCollector("reads", pool))
        waiter = PositionWaiter(lambda: _reached(pool))
        try:
            yield _app(settings, telemetry, pool, waiter)
        finally:
            await waiter.close()


def _app(settings: HistorySettings, telemetry: Telemetry, pool: Pool, waiter: PositionWaiter) -> Edge:
    async def is_parked(wallet_ids: Sequence[UUID]) -> bool:
        async with pool.connection() as connection:
            return await parking.is_parked(connection, SCHEMA, wallet_ids)

    async def deep() -> Mapping[str, Check]:
        lag_ms = max((shard.lag_ms for shard in (await _progress(pool)).values()), default=0)
        return {**await _database_check(pool), "projection": Check(ok=True, detail=f"{lag_ms} ms behind")}

    queries = HistoryQueries(PostgresReads(pool), progress=lambda: _progress(pool), is_parked=is_parked, waiter=waiter)
    return create_app(
        title="Transaction history",
        description="The query side: what happened to wallets, read from the events alone.",
        settings=settings,
        telemetry=telemetry,
        routers=[history_routes(queries)],
        readiness=lambda: _database_check(pool),
        deep=deep,
    )


def _pool(settings: HistorySettings, application_name: str, max_size: int) -> PoolSettings:
    dsn = settings.transaction_history_database_url
    return PoolSettings(dsn=dsn, application_name=application_name, max_size=max_size)


async def _progress(pool: Pool) -> Mapping[int, Progress]:
    async with pool.connection() as connection:
        return await checkpoints.progress(connection, SCHEMA)


async def _reached(pool: Pool) -> Mapping[int, int]:
    return {shard: progress.last_seq for shard, progress in (await _progress(pool)).items()}


async def _database_check(pool: Pool) -> Mapping[str, Check]:
    async with pool.connection() as connection:
        await connection.fetchval("SELECT 1")
    return {"database": Check(ok=True, detail="answers")}


# -- the projector


async def run_projector(
    settings: HistorySettings,
    shutdown: Shutdown,
    *,
    projection: Projection | None = None,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the projector process until *shutdown*, or until its consumer cannot go on."""
    telemetry = open_telemetry(settings, service=SERVICE, process="projector", version=VERSION)
    try:
        async with (
            await open_pool(_pool(settings, "transaction-history-projector", 2)) as pool,
            event_loop_delay(telemetry.registry),
        ):
            telemetry.registry.register(PoolCollector("projector", pool))
            runner = make_runner(settings, telemetry, pool, projection=projection, runner_class=runner_class)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_consume(runner, shutdown))
                tasks.create_task(_serve_pages(settings, telemetry, pool, shutdown))
    finally:
        telemetry.close()


def make_runner(
    settings: HistorySettings,
    telemetry: Telemetry,
    pool: Pool,
    *,
    projection: Projection | None = None,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> ConsumerRunner:
    """Return what feeds the live projection."""
    instance = f"{socket.gethostname()}:{os.getpid()}"
    return runner_class(
        ConsumerSettings(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            client_id="transaction-history-projector",
            records_per_poll_max=settings.transaction_history_records_per_poll,
        ),
        projection=projection or make_projection(settings),
        pool=pool,
        metrics=ConsumerMetrics(telemetry.registry, SCHEMA),
        tracing=telemetry.tracing,
        jitter=random.Random(instance),  # noqa: S311  jitter, not a secret
    )


async def _consume(runner: ConsumerRunner, shutdown: Shutdown) -> None:
    try:
        await runner.run(shutdown)
    finally:
        shutdown.request()  # the pages end with it


async def _serve_pages(settings: HistorySettings, telemetry: Telemetry, pool: Pool, shutdown: Shutdown) -> None:
    app = create_process_app(settings=settings, telemetry=telemetry, readiness=lambda: _database_check(pool))
    await serve_http(
        app,
        host=settings.host,
        port=settings.transaction_history_projector_port,
        shutdown=shutdown,
        drain_s=settings.drain_s,
        port_setting="TRANSACTION_HISTORY_PROJECTOR_PORT",
    )


# -- operations


async def projection_status(settings: HistorySettings) -> tuple[list[ShardStatus], list[ParkedWallet]]:
    """Return how far every shard is, and what is parked."""
    async with (
        await open_pool(_pool(settings, "transaction-history-operator", 1)) as pool,
        pool.connection() as connection,
    ):
        return await operations.status(connection, SCHEMA), await operations.parked_wallets(connection, SCHEMA)


async def unpark(settings: HistorySettings, wallet_id: UUID) -> Unparked:
    """Apply a wallet's parked events in order."""
    async with await open_pool(_pool(settings, "transaction-history-operator", 1)) as pool:
        return await operations.unpark(pool, make_projection(settings), wallet_id)


async def rewind(settings: HistorySettings, shard: int, offset: int) -> bool:
    """Have the partition of *shard* read again from *offset*."""
    async with (
        await open_pool(_pool(settings, "transaction-history-operator", 1)) as pool,
        pool.connection() as connection,
    ):
        return await operations.rewind(connection, SCHEMA, shard, offset=offset)


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
        await open_pool(_pool(settings, "transaction-history-rebuild", 2)) as pool,
        open_topic(settings.kafka_bootstrap_servers, topic, partitions) as reader,
    ):
        rebuilding = Rebuild(
            owner_dsn=owner.transaction_history_owner_database_url,
            app_role=owner.transaction_history_app_role,
            pool=pool,
            source=history_source(),
            topic=topic,
        )
        return await rebuilding.run(reader, switch=switch)
