"""The one place where the service's parts are joined, by hand, from arguments."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from importlib import metadata
from typing import Final

from notifications.adapters.deliveries_postgres import PostgresDeliveries
from notifications.adapters.encryption import SecretCipher, parse_keys
from notifications.adapters.endpoints_postgres import PostgresEndpoints
from notifications.adapters.forgetting_postgres import (
    CANCEL,
    FORGET_ENDPOINTS,
    FORGET_SECRETS,
    LOT,
    Clearing,
    DeliveryForgetting,
    KeyForgetting,
)
from notifications.adapters.queue_postgres import PostgresQueue
from notifications.adapters.recording_postgres import PostgresRecorder
from notifications.adapters.resolver import DnsResolver
from notifications.adapters.sender_http import HttpSender
from notifications.application.attempts import Attempts
from notifications.application.commands import EndpointCommands
from notifications.application.metrics import BacklogMetrics, WorkerMetrics
from notifications.application.ports import Resolver, Sender
from notifications.application.projection import NAME, DeliveryProjection
from notifications.application.queries import Queries
from notifications.application.settling import Settling
from notifications.application.vetting import Vetting
from notifications.application.worker import Worker, WorkerSettings
from notifications.config import NotificationsOwnerSettings, NotificationsSettings
from notifications.domain.outcomes import Policy
from notifications.entrypoints.delivery_routes import delivery_commands, delivery_reads
from notifications.entrypoints.endpoint_handlers import EndpointChanges, EndpointHandlers, EndpointReads
from notifications.entrypoints.endpoint_routes import (
    endpoint_changes,
    endpoint_commands,
    endpoint_reads,
    endpoint_switches,
    endpoint_trials,
)
from servicekit.cli import Migration, Operated
from servicekit.consumer import consumer_source
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner
from servicekit.health import Check
from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.http.routes.keyed import KeyedCommands
from servicekit.idempotency import Once
from servicekit.lifecycle import Shutdown
from servicekit.maintenance import Job, Turn, maintenance_source
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.postgres import Pool, open_pool
from servicekit.relay import relay_source
from servicekit.relay.outbox import outbox_journal, outbox_source
from servicekit.service import Service, own_migrations
from servicekit.service.processes import (
    database_check,
    health_pool_settings,
    instance_jitter,
    maintaining,
    process_telemetry,
    run_beside_pages,
    run_consumer,
    run_relay,
)
from servicekit.service.processes import serve_api as serve_api_process
from servicekit.telemetry import PoolCollector, Telemetry

SERVICE: Final = Service(name="notifications", version=metadata.version("notifications"))
SOURCE: Final = "/notifications"
BACKLOG_EVERY_S: Final = 5.0
FORGET_EVERY_S: Final = 5.0
DRAIN_SHARE: Final = 0.7
"""Of the process's drain, for attempts under way: the rest is for closing what stands behind them."""


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order."""
    own = own_migrations("notifications", __file__)
    return [servicekit_source(), maintenance_source(), consumer_source(), relay_source(), outbox_source(), own]


def migration(owner: NotificationsOwnerSettings) -> Migration:
    """Return what `migrate` is given."""
    return Migration(owner.notifications_owner_database_url, migration_sources(), owner.notifications_app_role)


def make_projection(settings: NotificationsSettings) -> DeliveryProjection:
    """Return the projection."""
    return DeliveryProjection(PostgresRecorder(), topic=settings.notifications_topic)


def operated(settings: NotificationsSettings) -> Operated:
    """Return the projection as its operator reaches it."""
    projection = make_projection(settings)
    return Operated(
        settings.notifications_database_url,
        settings.kafka_bootstrap_servers,
        projection.name,
        lambda: nullcontext(projection),
    )


# -- the API


async def serve_api(settings: NotificationsSettings, shutdown: Shutdown) -> None:
    """Run the API process until *shutdown*."""
    await serve_api_process(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        open_app=lambda telemetry: open_api(settings, telemetry),
    )


@asynccontextmanager
async def open_api(
    settings: NotificationsSettings, telemetry: Telemetry, *, resolver: Resolver | None = None
) -> AsyncIterator[Edge]:
    """Give the API's application; *resolver* replaces DNS."""
    pools = settings.api.pool
    async with (
        await open_pool(pools) as pool,
        await open_pool(health_pool_settings(pools)) as health,
        _resolving(settings, resolver) as resolving,
    ):
        telemetry.registry.register(PoolCollector("api", pool))
        vetting = Vetting(resolving, allow_loopback=settings.notifications_allow_loopback)
        yield _app(settings, telemetry, pool, health, vetting)


def _app(settings: NotificationsSettings, telemetry: Telemetry, pool: Pool, health: Pool, vetting: Vetting) -> Edge:
    endpoints, deliveries = PostgresEndpoints(NAME), PostgresDeliveries()
    commands = EndpointCommands(
        endpoints,
        deliveries,
        PostgresRecorder(),
        _cipher(settings),
        endpoints_max=settings.notifications_endpoints_max,
        rotation_overlap=timedelta(seconds=settings.notifications_rotation_overlap_s),
    )
    keyed = KeyedCommands(Once(pool, table="notifications.idempotency"))
    queries = Queries(pool, endpoints, deliveries)
    handlers = EndpointHandlers(keyed, commands, vetting)

    async def ready() -> Mapping[str, Check]:
        return await database_check(health)

    return create_app(
        title="Notifications",
        description="Signed webhooks about what happened.",
        settings=settings,
        telemetry=telemetry,
        routes=[
            *endpoint_reads(EndpointReads(queries)),
            *endpoint_changes(EndpointChanges(pool, commands, vetting)),
            *endpoint_commands(handlers),
            *endpoint_switches(handlers),
            *endpoint_trials(handlers),
            *delivery_reads(queries),
            *delivery_commands(keyed, commands),
        ],
        readiness=ready,
        deep=ready,
    )


# -- the projector and the relay


async def run_projector(
    settings: NotificationsSettings,
    shutdown: Shutdown,
    *,
    projection: Projection | None = None,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the projector process until *shutdown*, or until its consumer cannot go on."""
    await run_consumer(
        settings,
        shutdown,
        service=SERVICE,
        process=settings.projector,
        projection=projection or make_projection(settings),
        runner_class=runner_class,
    )


async def publish_events(settings: NotificationsSettings, shutdown: Shutdown) -> None:
    """Run the relay process, which publishes the service's own events, until *shutdown*."""
    await run_relay(
        settings,
        shutdown,
        service=SERVICE,
        process=settings.relay,
        journal=outbox_journal(SOURCE),
    )


# -- the worker


async def run_worker(
    settings: NotificationsSettings, shutdown: Shutdown, *, sender_class: type[HttpSender] = HttpSender
) -> None:
    """Run the worker process, which carries deliveries out, until *shutdown*."""
    async with (
        process_telemetry(settings, SERVICE, "worker") as telemetry,
        await open_pool(settings.worker_pool) as pool,
        open_worker(settings, telemetry, pool, sender_class=sender_class) as worker,
    ):
        telemetry.registry.register(PoolCollector("worker", pool))
        await run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name="worker",
            port=settings.worker_port,
            pool=pool,
            work=worker.run,
        )


@asynccontextmanager
async def open_worker(
    settings: NotificationsSettings,
    telemetry: Telemetry,
    pool: Pool,
    *,
    resolver: Resolver | None = None,
    tls: ssl.SSLContext | None = None,
    sender_class: type[HttpSender] = HttpSender,
) -> AsyncIterator[Worker]:
    """Give a worker; *resolver* replaces DNS, *tls* the system's trust."""
    sender = sender_class(
        connect_timeout_s=settings.notifications_connect_timeout_s,
        attempt_timeout_s=settings.notifications_attempt_timeout_s,
        tls=tls,
    )
    keeping = maintaining(
        _jobs(settings, telemetry),
        dsn=settings.notifications_database_url,
        service=SERVICE,
        process="worker",
        telemetry=telemetry,
    )
    async with _resolving(settings, resolver) as resolving, keeping:
        yield make_worker(settings, telemetry, pool, resolver=resolving, sender=sender)


def make_worker(
    settings: NotificationsSettings, telemetry: Telemetry, pool: Pool, *, resolver: Resolver, sender: Sender
) -> Worker:
    """Return a worker that sends through *sender*."""
    queue = PostgresQueue()
    attempt_timeout_s = settings.notifications_attempt_timeout_s
    return Worker(
        WorkerSettings(
            attempts_max=settings.notifications_worker_attempts,
            endpoint_attempts_max=settings.notifications_endpoint_attempts,
            lease_s=settings.notifications_lease_s,
            attempt_timeout_s=attempt_timeout_s,
            drain_s=settings.drain_s * DRAIN_SHARE,
        ),
        pool=pool,
        queue=queue,
        attempts=Attempts(
            vetting=Vetting(resolver, allow_loopback=settings.notifications_allow_loopback),
            cipher=_cipher(settings),
            sender=sender,
            timeout_s=attempt_timeout_s,
        ),
        settling=Settling(pool, queue, policy=_policy(settings), jitter=instance_jitter()),
        metrics=WorkerMetrics(telemetry.registry),
        tracing=telemetry.tracing,
    )


def _jobs(settings: NotificationsSettings, telemetry: Telemetry) -> list[Job]:
    """Return what workers do by themselves. One of them forgets for all; each tells of the backlog."""
    queue, metrics = PostgresQueue(), BacklogMetrics(telemetry.registry)
    days = settings.notifications_retention_days

    async def measure(turn: Turn) -> int:
        metrics.backlog(await queue.backlog(turn.connection))
        return 0

    forgetting = {
        "forget_deliveries": DeliveryForgetting(days).forget_lot,
        "forget_keys": KeyForgetting(settings.notifications_idempotency_days).forget_lot,
        "cancel_deliveries": Clearing([CANCEL], days).clear_lot,
        "forget_endpoints": Clearing([FORGET_ENDPOINTS, FORGET_SECRETS], days).clear_lot,
    }
    return [
        Job(name="measure_backlog", interval_s=BACKLOG_EVERY_S, run=measure),
        *[
            Job(name=name, interval_s=FORGET_EVERY_S, run=run, lot=LOT, has_leader=True)
            for name, run in forgetting.items()
        ],
    ]


def _policy(settings: NotificationsSettings) -> Policy:
    divisor = settings.notifications_time_divisor
    return Policy(
        delays_ms=tuple(delay_s * 1_000 // divisor for delay_s in settings.notifications_retry_delays_s),
        disable_after=timedelta(seconds=settings.notifications_disable_after_s) / divisor,
    )


def _cipher(settings: NotificationsSettings) -> SecretCipher:
    return SecretCipher(parse_keys(settings.notifications_secret_keys.get_secret_value()))


@asynccontextmanager
async def _resolving(settings: NotificationsSettings, given: Resolver | None) -> AsyncIterator[Resolver]:
    if given is not None:
        yield given
        return
    servers = [server.strip() for server in settings.notifications_dns_servers.split(",") if server.strip()]
    resolver = DnsResolver(servers)
    try:
        yield resolver
    finally:
        await resolver.aclose()
