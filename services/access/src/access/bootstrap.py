"""The one place where the service's parts are joined, by hand, from arguments."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Final

from access.config import AccessSettings
from access.entrypoints.account_routes import AccountHandlers, account_routes
from access.entrypoints.answering import Commands
from access.entrypoints.issuer_routes import IssuerHandlers, issuer_commands, issuer_reads
from access.entrypoints.key_routes import KeyHandlers, key_commands, key_reads
from access.entrypoints.subject_routes import (
    LimitHandlers,
    SubjectHandlers,
    about_routes,
    limit_routes,
    subject_routes,
)
from access.entrypoints.tenant_routes import TenantHandlers, tenant_routes
from access.identities.accounts import Accounts
from access.identities.issuers import Issuers
from access.identities.keys import Keys
from access.identities.limits import Limits
from access.identities.recording import SOURCE, Recorder
from access.identities.subjects import Subjects
from access.identities.tenants import Tenants
from access.maintenance.jobs import worker_jobs
from access.maintenance.key_set_metrics import KeySetMetrics
from access.maintenance.key_sets import KeySetPolling
from access.provisioning.plan import Plan
from access.provisioning.provision import Provisioning, Show
from servicekit.access.admission import Authority
from servicekit.access.key_sets import DOCUMENT_BYTES_MAX
from servicekit.access.opening import open_authority
from servicekit.access.projection import AccessProjection, access_projection_name, access_source
from servicekit.consumer import consumer_source
from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.http.route import Route
from servicekit.http.routes.keyed import KeyedCommands
from servicekit.idempotency import Once
from servicekit.lifecycle import Shutdown
from servicekit.limits import limits_source
from servicekit.maintenance import maintenance_source
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.outbound.fetching import Fetcher
from servicekit.outbound.resolver import DnsResolver
from servicekit.outbound.vetting import Resolver, Vetting
from servicekit.postgres import Pool, open_pool
from servicekit.relay import relay_source
from servicekit.relay.outbox import outbox_journal, outbox_source
from servicekit.service import Service, own_migrations, processes
from servicekit.service.processes import database_check, health_pool_settings
from servicekit.telemetry import PoolCollector, Telemetry
from servicekit.tenant_pool import TenantPool, open_tenants

SERVICE: Final = Service(name="access", version=metadata.version("access"))


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables of each kind, then the service's."""
    own = own_migrations("access", __file__)
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


def make_recorder() -> Recorder:
    """Return what records changes."""
    return Recorder(AccessProjection(access_projection_name(SERVICE.slug)))


# -- the API


async def serve_api(settings: AccessSettings, shutdown: Shutdown) -> None:
    """Run the API process until *shutdown*."""
    await processes.serve_api(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        dsn=settings.access_database_url,
        open_app=lambda telemetry: open_api(settings, telemetry),
    )


@asynccontextmanager
async def open_api(
    settings: AccessSettings,
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
        open_authority(settings.knowing, telemetry.registry, authority) as admitting,
        _vetting(settings, resolver) as vetting,
    ):
        telemetry.registry.register(PoolCollector("api", pool))
        telemetry.registry.register(PoolCollector("reads", reads))
        yield _app(
            settings, telemetry, admitting, routes=_routes(pool, await open_tenants(reads), vetting), health=health
        )


def _app(
    settings: AccessSettings, telemetry: Telemetry, authority: Authority, *, routes: list[Route], health: Pool
) -> Edge:
    return create_app(
        title="Access",
        description="Who may do what: tenants, issuers, service accounts and their keys, subjects, limits.",
        settings=settings,
        telemetry=telemetry,
        authority=authority,
        routes=routes,
        readiness=lambda: database_check(health),
        deep=lambda: database_check(health),
    )


def _routes(pool: Pool, tenants: TenantPool, vetting: Vetting) -> list[Route]:
    recorder = make_recorder()
    commands = Commands(KeyedCommands(Once(pool, table="access.idempotency")), pool)
    keys = KeyHandlers(commands, Keys(recorder), tenants)
    issuers = IssuerHandlers(commands, Issuers(recorder), vetting, pool, tenants)
    return [
        *tenant_routes(TenantHandlers(commands, Tenants(recorder), pool)),
        *issuer_reads(issuers),
        *issuer_commands(issuers),
        *account_routes(AccountHandlers(commands, Accounts(recorder), pool, tenants)),
        *key_reads(keys),
        *key_commands(keys),
        *subject_routes(SubjectHandlers(commands, Subjects(recorder), tenants)),
        *limit_routes(LimitHandlers(commands, Limits(recorder), tenants)),
        *about_routes(),
    ]


# -- the relay and the worker


async def run_relay(settings: AccessSettings, shutdown: Shutdown) -> None:
    """Run the process that publishes what changed until *shutdown*, or until it must not go on."""
    await processes.run_relay(
        settings, shutdown, service=SERVICE, process=settings.relay, journal=outbox_journal(SOURCE)
    )


async def run_worker(settings: AccessSettings, shutdown: Shutdown) -> None:
    """Run the worker process until *shutdown*."""
    process = settings.worker
    async with (
        processes.open_process(settings, SERVICE, "worker", dsn=process.pool.dsn) as telemetry,
        await open_pool(process.pool) as pool,
        open_worker(settings, telemetry, pool),
    ):
        telemetry.registry.register(PoolCollector("worker", pool))
        await processes.run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name="worker",
            port=process.port,
            pool=pool,
            work=_until_the_end,
        )


@asynccontextmanager
async def open_worker(
    settings: AccessSettings,
    telemetry: Telemetry,
    pool: Pool,
    *,
    resolver: Resolver | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[KeySetPolling]:
    """Run a worker's jobs while the body runs; *resolver* replaces DNS, *tls* the system's trust."""
    async with _vetting(settings, resolver) as vetting:
        fetcher = Fetcher(
            vetting,
            bytes_max=DOCUMENT_BYTES_MAX,
            timeout_s=settings.access_fetch_timeout_s,
            agent="wallet-platform-access/1",
            tls=tls,
        )
        metrics = KeySetMetrics(telemetry.registry)
        polling = KeySetPolling(pool, make_recorder(), fetcher, metrics)
        async with processes.maintaining(
            [*worker_jobs(settings.access_idempotency_days), polling.job(), metrics.job()],
            dsn=settings.access_database_url,
            service=SERVICE,
            process="worker",
            telemetry=telemetry,
        ):
            yield polling


@asynccontextmanager
async def _vetting(settings: AccessSettings, given: Resolver | None) -> AsyncIterator[Vetting]:
    """Give what vets URLs by DNS, or by the *given* resolver."""
    allow_loopback = settings.access_allow_loopback
    if given is not None:
        yield Vetting(given, allow_loopback=allow_loopback)
        return
    resolver = DnsResolver(settings.dns_servers)
    try:
        yield Vetting(resolver, allow_loopback=allow_loopback)
    finally:
        await resolver.aclose()


async def _until_the_end(shutdown: Shutdown) -> None:
    await shutdown.wait()


# -- what an installation begins with


async def provision(settings: AccessSettings, plan: Plan, show: Show) -> None:
    """Make what *plan* says and is not there yet; *show* is given each new key."""
    recorder = make_recorder()
    async with await open_pool(settings.provisioning_pool) as pool:
        await Provisioning(pool, recorder, show).provision(plan)
