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
from servicekit.service.processes import database_check, health_pool_settings
from servicekit.telemetry import PoolCollector, Telemetry
from servicekit.tenant_pool import TenantPool, open_tenants
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.entrypoints.balance_routes import balance_routes
from transaction_history.entrypoints.entry_routes import owner_entry_routes, wallet_entry_routes
from transaction_history.entrypoints.transaction_routes import transaction_routes
from transaction_history.entrypoints.wallet_routes import wallet_routes
from transaction_history.maintenance.folds import ReadModelOutdated, is_current
from transaction_history.maintenance.rebuild import Comparison, Rebuild
from transaction_history.projection.projection import HistoryProjection
from transaction_history.projection.read_model_postgres import SCHEMA, PostgresReadModel
from transaction_history.reads.view import Views

SERVICE: Final = Service(name="transaction_history", version=metadata.version("transaction-history"))


def history_source() -> MigrationSource:
    """Return the read model's own migrations."""
    return own_migrations("transaction_history", __file__)


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables, the consumer's, the read model."""
    return [servicekit_source(), consumer_source(), access_source(), limits_source(), history_source()]


def make_projection(settings: HistorySettings) -> HistoryProjection:
    """Return the live projection."""
    return HistoryProjection(PostgresReadModel(), name=SCHEMA, topic=settings.transaction_history_topic)


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
    async with await open_pool(pools) as pool, await open_pool(health_pool_settings(pools)) as health:
        telemetry.registry.register(PoolCollector("reads", pool))
        async with (
            Projected(pool, SCHEMA) as projected,
            open_authority(settings.knowing, telemetry.registry, authority) as admitting,
        ):
            yield _app(
                settings, telemetry, admitting, tenants=await open_tenants(pool), health=health, projected=projected
            )


def _app(
    settings: HistorySettings,
    telemetry: Telemetry,
    authority: Authority,
    *,
    tenants: TenantPool,
    health: Pool,
    projected: Projected,
) -> Edge:
    async def deep() -> Mapping[str, Check]:
        return {**await database_check(health), **await lag_check(projected)}

    views = Views(tenants, projected)
    return create_app(
        title="Transaction history",
        description="The query side: what happened to wallets, read from the events alone.",
        settings=settings,
        telemetry=telemetry,
        authority=authority,
        routes=[
            *wallet_entry_routes(views),
            *owner_entry_routes(views),
            *transaction_routes(views),
            *balance_routes(views),
            *wallet_routes(views),
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
