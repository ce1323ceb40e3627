"""The kinds of process: an API, a consumer, a relay, and any other worker beside its pages of health and metrics."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace

from starlette.types import ASGIApp

from contracts.ids import new_id_text
from servicekit.broker_probe import BrokerProbe
from servicekit.brokers import Brokers
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner
from servicekit.dependencies import Dependency
from servicekit.expiry import Expiring, Expiry, ExpiryKind
from servicekit.health import Check, HealthCheck, healthy
from servicekit.http.app import create_process_app
from servicekit.http.edge.connection import ConnectionLimits
from servicekit.lifecycle import EXIT_FAILED, Shutdown, event_loop_delay
from servicekit.maintenance import Job, Maintenance
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.relay.errors import RelayError
from servicekit.relay.journal import SqlJournal
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.publisher import Publisher
from servicekit.relay.relay import Relay
from servicekit.relay.settings import RelaySettings
from servicekit.service import ConsumerProcess, Port, RelayProcess, Service
from servicekit.service.consuming import make_consuming
from servicekit.service.instances import instance_jitter, instance_name
from servicekit.service.pooler import refuse_pooler
from servicekit.service.unsafe_role import refuse_unsafe_role
from servicekit.serving import Tls, serve_http
from servicekit.settings import Mode, ServiceSettings
from servicekit.telemetry import Telemetry, get_logger, open_telemetry

ProcessBody = Callable[[Shutdown], Awaitable[None]]
"""What a process is for: runs until the end is requested, and takes what it holds back with it."""
OpenApp = Callable[[Telemetry], AbstractAsyncContextManager[ASGIApp]]


@asynccontextmanager
async def open_process(
    settings: ServiceSettings, service: Service, process: str, *, dsn: str
) -> AsyncIterator[Telemetry]:
    """Give the process its logs, metrics and traces, and measure its event loop.

    *dsn* is where its app role reaches the database: raises BehindPooler where a pooler stands before it; outside
    development UnsafeRoleError where that role may do what no process needs, and Unavailable where the database cannot
    be asked.
    """
    telemetry = open_telemetry(settings, service=service.name, process=process, version=service.version)
    try:
        await refuse_pooler(dsn, application=f"{service.slug}-{process}")
        if settings.mode is not Mode.DEVELOPMENT:
            await refuse_unsafe_role(dsn, application=f"{service.slug}-{process}", journals=service.journals)
        async with event_loop_delay(telemetry.registry), Expiry(telemetry.registry).watching(_expiring(settings)):
            yield telemetry
    finally:
        telemetry.close()


def _expiring(settings: ServiceSettings) -> Iterator[Expiring]:
    if settings.tls is not None:
        yield Expiring(ExpiryKind.CERTIFICATE, "api", settings.tls[0])
    if settings.kafka_ca_file is not None:
        yield Expiring(ExpiryKind.AUTHORITY, "kafka", settings.kafka_ca_file)


@asynccontextmanager
async def depending(telemetry: Telemetry, pool: Pool, brokers: Brokers | None = None) -> AsyncIterator[None]:
    """Watch, while the body runs, whether the database of *pool* answers, and *brokers* where the process has some."""

    async def ask_database() -> None:
        await database_check(pool)

    if brokers is None:
        async with telemetry.dependencies.watching({Dependency.DATABASE: ask_database}):
            yield
        return
    async with aclosing(BrokerProbe(brokers, f"{telemetry.service}-{telemetry.process}")) as probe:
        asked = {Dependency.DATABASE: ask_database, Dependency.BROKER: probe.ask}
        async with telemetry.dependencies.watching(asked):
            yield


async def serve_api(
    settings: ServiceSettings, shutdown: Shutdown, *, service: Service, port: Port, dsn: str, open_app: OpenApp
) -> None:
    """Run an API process until *shutdown*; *open_app* gives its application and takes it down again.

    *dsn* is the app role's; raises as `open_process` does.
    """
    tls = None if settings.tls is None else Tls(*settings.tls)
    async with open_process(settings, service, "api", dsn=dsn) as telemetry, open_app(telemetry) as app:
        await _serve(app, settings, shutdown, port, tls)


async def run_beside_pages(
    settings: ServiceSettings,
    shutdown: Shutdown,
    *,
    telemetry: Telemetry,
    name: str,
    port: Port,
    pool: Pool,
    work: ProcessBody,
    deep: HealthCheck = healthy,
    brokers: Brokers | None = None,
) -> None:
    """Run *work* until *shutdown*, beside pages that show whether it is at work and its database answers.

    *brokers* are those that the work speaks to, None where it speaks to none.

    Where the work ends of itself the process ends too, see `end_with`. *deep* adds to the checks of `/health/deep`.
    """
    working = asyncio.create_task(_await(work, shutdown), name=name)
    end_with(working, name, shutdown)

    async def ready() -> Mapping[str, Check]:
        works = not working.done()
        return {**await database_check(pool), name: Check(ok=works, detail="at work" if works else "ended")}

    async def deeply() -> Mapping[str, Check]:
        return {**await ready(), **await deep()}

    try:
        app = create_process_app(settings=settings, telemetry=telemetry, readiness=ready, deep=deeply)
        async with depending(telemetry, pool, brokers):
            await _serve(app, settings, shutdown, port)
    except asyncio.CancelledError:
        working.cancel()
        raise
    finally:
        shutdown.request()
        await asyncio.wait([working])


@asynccontextmanager
async def maintaining(
    jobs: Sequence[Job], *, dsn: str, service: Service, process: str, telemetry: Telemetry
) -> AsyncIterator[None]:
    """Run *jobs* on the database at *dsn* while the body runs."""
    maintenance = Maintenance(
        jobs,
        dsn=dsn,
        application=f"{service.slug}-{process}",
        owner=f"{instance_name()}#{new_id_text()}",  # never taken for an instance that ran before under the same name
        registry=telemetry.registry,
    )
    telemetry.checks.append(maintenance.check)
    try:
        async with maintenance.running():
            yield
    finally:
        telemetry.checks.remove(maintenance.check)


async def run_consumer(
    settings: ServiceSettings,
    shutdown: Shutdown,
    *,
    service: Service,
    process: ConsumerProcess,
    projection: Projection,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the process that feeds *projection* until *shutdown*, or until it cannot go on."""
    async with open_process(settings, service, process.name, dsn=process.pool.dsn) as telemetry:
        await consume(
            settings,
            shutdown,
            service=service,
            process=process,
            telemetry=telemetry,
            projection=projection,
            runner_class=runner_class,
        )


async def consume(
    settings: ServiceSettings,
    shutdown: Shutdown,
    *,
    service: Service,
    process: ConsumerProcess,
    telemetry: Telemetry,
    projection: Projection,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Feed *projection*, and what *service* knows of identities, in a process that has its *telemetry* already."""
    async with await open_pool(process.pool) as pool:
        telemetry.pools.watch(process.name, pool)
        consuming = make_consuming(
            settings,
            service=service,
            process=process,
            projection=projection,
            telemetry=telemetry,
            pool=pool,
            runner_class=runner_class,
        )
        await run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name=process.name,
            port=process.port,
            pool=pool,
            work=consuming.run,
            deep=consuming.check,
            brokers=process.consumer.brokers,
        )


async def run_relay(
    settings: ServiceSettings,
    shutdown: Shutdown,
    *,
    service: Service,
    process: RelayProcess,
    journal: SqlJournal,
    publisher_class: type[Publisher] = Publisher,
    relay_class: type[Relay] = Relay,
) -> None:
    """Run the process that publishes *journal* until *shutdown*, or until it must not go on."""
    async with (
        open_process(settings, service, "relay", dsn=process.pool.dsn) as telemetry,
        await open_pool(process.pool) as pool,
    ):
        relay = make_relay(
            process.relay,
            telemetry=telemetry,
            pool=pool,
            journal=journal,
            publisher_class=publisher_class,
            relay_class=relay_class,
        )
        await run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name="relay",
            port=process.port,
            pool=pool,
            work=relay.run,
            deep=relay.check,
            brokers=process.relay.publisher.brokers,
        )


def make_relay(
    settings: RelaySettings,
    *,
    telemetry: Telemetry,
    pool: Pool,
    journal: SqlJournal,
    publisher_class: type[Publisher] = Publisher,
    relay_class: type[Relay] = Relay,
) -> Relay:
    """Return what publishes *journal* through *pool*, which it has for itself."""
    telemetry.pools.watch("relay", pool)
    metrics = RelayMetrics(telemetry.registry)
    return relay_class(
        settings,
        owner=instance_name(),
        pool=pool,
        journal=journal,
        publisher=publisher_class(settings.publisher, metrics),
        metrics=metrics,
        jitter=instance_jitter(),
    )


def end_with(working: "asyncio.Task[None]", name: str, shutdown: Shutdown) -> None:
    """End the process with *working*, which it is of no use without, so that a supervisor starts it afresh.

    Whatever ends the work before the process's end is requested is logged and gives an exit code: the
    work's own if it has one, else 1, also where it merely returned or was cancelled from within.
    """
    working.add_done_callback(lambda ended: _tell_end(ended, name, shutdown))


def health_pool_settings(settings: PoolSettings) -> PoolSettings:
    """Return the settings of a pool for pages of health alone: they do not wait for requests, nor these for them."""
    return replace(settings, application_name=f"{settings.application_name}-health", max_size=1)


async def database_check(pool: Pool) -> Mapping[str, Check]:
    """Return that the database answers; raises where it does not."""
    async with pool.connection() as connection:
        await connection.fetchval("select 1")
    return {"database": Check(ok=True, detail="answers")}


async def _await(work: ProcessBody, shutdown: Shutdown) -> None:
    await work(shutdown)


def _tell_end(working: "asyncio.Task[None]", name: str, shutdown: Shutdown) -> None:
    error = asyncio.CancelledError() if working.cancelled() else working.exception()
    if shutdown.is_requested and (error is None or working.cancelled()):
        return
    get_logger().error("process.work_ended", work=name, error=repr(error))
    shutdown.request(error.exit_code if isinstance(error, RelayError) else EXIT_FAILED)


async def _serve(
    app: ASGIApp, settings: ServiceSettings, shutdown: Shutdown, port: Port, tls: Tls | None = None
) -> None:
    await serve_http(
        app,
        host=settings.host,
        port=port.number,
        shutdown=shutdown,
        drain_s=settings.drain_s,
        port_setting=port.setting,
        limits=ConnectionLimits(connections_max=settings.connections_max, request_s=settings.request_arrival_s),
        tls=tls,
    )
