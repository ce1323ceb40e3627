"""The one place where the service's parts are joined, by hand, from arguments."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Final

from notifications.config import NotificationsSettings
from notifications.deliveries.commands import DeliveryCommands
from notifications.deliveries.projection import NAME, DeliveryProjection
from notifications.deliveries.queries import DeliveryQueries
from notifications.deliveries.recording_postgres import PostgresRecorder
from notifications.domain.outcomes import AttemptOutcome, EndpointStatus
from notifications.endpoints.commands import EndpointCommands
from notifications.endpoints.encryption import SecretCipher
from notifications.endpoints.queries import EndpointQueries
from notifications.endpoints.store_postgres import PostgresEndpoints
from notifications.entrypoints.delivery_routes import delivery_commands, delivery_reads
from notifications.entrypoints.endpoint_handlers import (
    EndpointChangeHandlers,
    EndpointCommandHandlers,
    EndpointReadHandlers,
)
from notifications.entrypoints.endpoint_routes import (
    endpoint_changes,
    endpoint_commands,
    endpoint_reads,
    endpoint_switches,
    endpoint_trials,
)
from notifications.maintenance.backlog import HELD, BacklogMetrics
from notifications.maintenance.jobs import worker_jobs
from notifications.sending.attempts import Attempts
from notifications.sending.metrics import WorkerMetrics
from notifications.sending.queue_postgres import PostgresQueue
from notifications.sending.sender_http import HttpSender
from notifications.sending.settling import Settler
from notifications.sending.worker import Worker
from servicekit.access.admission import Authority
from servicekit.access.opening import open_authority
from servicekit.access.projection import access_source
from servicekit.consumer import consumer_source
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner
from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.http.route import Route
from servicekit.http.routes.keyed import KeyedCommands
from servicekit.idempotency import Once
from servicekit.lifecycle import Shutdown
from servicekit.limits import limits_source
from servicekit.maintenance import maintenance_source
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.outbound.resolver import DnsResolver
from servicekit.outbound.vetting import Resolver, Vetting
from servicekit.postgres import Pool, open_pool
from servicekit.relay import relay_source
from servicekit.relay.outbox import outbox_journal, outbox_source
from servicekit.service import Service, own_migrations, processes
from servicekit.service.instances import instance_jitter
from servicekit.service.metrics import API, CONSUMER, ERROR, MAINTENANCE, RELAY, ServiceMetrics
from servicekit.service.processes import database_check, health_pool_settings
from servicekit.telemetry import Telemetry
from servicekit.tenant_pool import TenantPool, open_tenants

SERVICE: Final = Service(name="notifications", version=metadata.version("notifications"))
SOURCE: Final = "/notifications"
"""The `ce_source` of every event of this service."""


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables of each kind, then the service's."""
    own = own_migrations("notifications", __file__)
    return [
        servicekit_source(),
        maintenance_source(),
        consumer_source(),
        access_source(),
        relay_source(),
        outbox_source(),
        limits_source(),
        own,
    ]


METRICS: Final = ServiceMetrics(
    service=SERVICE,
    processes={
        "api": API,
        "projector": CONSUMER,
        "worker": (*MAINTENANCE, WorkerMetrics, BacklogMetrics),
        "relay": RELAY,
    },
    labels={
        "webhook_attempts_total": {"outcome": tuple(AttemptOutcome)},
        "webhook_worker_failures_total": {"error": ERROR},
        "webhook_endpoints": {"status": tuple(EndpointStatus)},
        "webhook_held": {"reason": tuple(HELD)},
    },
)
"""The metrics of its processes, and what may stand in their labels."""


def make_projection(settings: NotificationsSettings) -> DeliveryProjection:
    """Return the projection."""
    return DeliveryProjection(PostgresRecorder(), topic=settings.notifications_topic)


# -- the API


async def serve_api(settings: NotificationsSettings, shutdown: Shutdown) -> None:
    """Run the API process until *shutdown*."""
    await processes.serve_api(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        dsn=settings.notifications_database_url,
        open_app=lambda telemetry: open_api(settings, telemetry),
    )


@asynccontextmanager
async def open_api(
    settings: NotificationsSettings,
    telemetry: Telemetry,
    *,
    authority: Authority | None = None,
    resolver: Resolver | None = None,
) -> AsyncIterator[Edge]:
    """Give the API's application; *authority* replaces its own, *resolver* DNS."""
    pools = settings.api.pool
    async with (
        await open_pool(pools) as pool,
        await open_pool(settings.reads) as reads,
        await open_pool(health_pool_settings(pools)) as health,
        _vetting(settings, resolver) as vetting,
        open_authority(settings.knowing, telemetry.registry, authority) as admitting,
        processes.depending(telemetry, health),
    ):
        telemetry.pools.watch("api", pool)
        telemetry.pools.watch("reads", reads)
        routes = _routes(settings, pool, await open_tenants(reads), vetting)
        yield _app(settings, telemetry, admitting, routes=routes, health=health)


def _app(
    settings: NotificationsSettings, telemetry: Telemetry, authority: Authority, *, routes: list[Route], health: Pool
) -> Edge:
    return create_app(
        title="Notifications",
        description="Signed webhooks about what happened.",
        settings=settings,
        telemetry=telemetry,
        authority=authority,
        routes=routes,
        readiness=lambda: database_check(health),
        deep=lambda: database_check(health),
    )


def _routes(settings: NotificationsSettings, pool: Pool, tenants: TenantPool, vetting: Vetting) -> list[Route]:
    endpoints = PostgresEndpoints(NAME)
    changes = EndpointCommands(endpoints, SecretCipher(settings.secret_keys), settings.endpoint_limits)
    sendings = DeliveryCommands(endpoints, PostgresRecorder())
    keyed = KeyedCommands(Once(pool, table="notifications.idempotency"))
    handlers = EndpointCommandHandlers(keyed, changes, sendings, vetting)
    return [
        *endpoint_reads(EndpointReadHandlers(EndpointQueries(tenants))),
        *endpoint_changes(EndpointChangeHandlers(pool, changes, vetting)),
        *endpoint_commands(handlers),
        *endpoint_switches(handlers),
        *endpoint_trials(handlers),
        *delivery_reads(DeliveryQueries(tenants)),
        *delivery_commands(keyed, sendings),
    ]


# -- the projector and the relay


async def run_projector(
    settings: NotificationsSettings,
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


async def run_relay(settings: NotificationsSettings, shutdown: Shutdown) -> None:
    """Run the process that publishes the service's own events until *shutdown*, or until it must not go on."""
    await processes.run_relay(
        settings, shutdown, service=SERVICE, process=settings.relay, journal=outbox_journal(SOURCE)
    )


# -- the worker


async def run_worker(
    settings: NotificationsSettings, shutdown: Shutdown, *, sender_class: type[HttpSender] = HttpSender
) -> None:
    """Run the worker process, which carries deliveries out, until *shutdown*."""
    process = settings.worker
    async with (
        processes.open_process(settings, SERVICE, "worker", dsn=process.pool.dsn) as telemetry,
        await open_pool(process.pool) as pool,
        open_worker(settings, telemetry, pool, sender_class=sender_class) as worker,
    ):
        telemetry.pools.watch("worker", pool)
        await processes.run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name="worker",
            port=process.port,
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
    """Give a worker, with its jobs at work; *resolver* replaces DNS, *tls* the system's trust."""
    sender = sender_class(settings.worker.sending.timeouts, tls=tls)
    maintaining = processes.maintaining(
        worker_jobs(settings.retention, telemetry.registry),
        dsn=settings.notifications_database_url,
        service=SERVICE,
        process="worker",
        telemetry=telemetry,
    )
    async with _vetting(settings, resolver) as vetting, maintaining:
        yield _worker(settings, telemetry, pool, vetting, sender)


def _worker(
    settings: NotificationsSettings, telemetry: Telemetry, pool: Pool, vetting: Vetting, sender: HttpSender
) -> Worker:
    queue, sending = PostgresQueue(), settings.worker.sending
    return Worker(
        sending,
        pool=pool,
        queue=queue,
        attempts=Attempts(
            vetting=vetting,
            cipher=SecretCipher(settings.secret_keys),
            sender=sender,
            timeout_s=sending.timeouts.attempt_s,
        ),
        settler=Settler(pool, queue, policy=sending.policy, jitter=instance_jitter()),
        metrics=WorkerMetrics(telemetry.registry),
        tracing=telemetry.tracing,
    )


@asynccontextmanager
async def _vetting(settings: NotificationsSettings, given: Resolver | None) -> AsyncIterator[Vetting]:
    """Give what vets URLs by DNS, or by the *given* resolver."""
    allow_loopback = settings.notifications_allow_loopback
    if given is not None:
        yield Vetting(given, allow_loopback=allow_loopback)
        return
    resolver = DnsResolver(settings.dns_servers)
    try:
        yield Vetting(resolver, allow_loopback=allow_loopback)
    finally:
        await resolver.aclose()
