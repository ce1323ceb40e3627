"""The one place where the service's parts are joined, by hand, from arguments."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import metadata
from typing import Final

from access.config import AccessSettings
from access.continuity.admitting import WholeAuthority
from access.continuity.continuity import Continuity, compared, open_continuity
from access.continuity.taking_over import Taken, TakingOver
from access.continuity.topic import AccessTopic
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
from access.identities.recording import SOURCE, Recorder, Standing
from access.identities.subjects import Subjects
from access.identities.tenants import Tenants
from access.maintenance.jobs import worker_jobs
from access.maintenance.key_set_metrics import OUTCOMES as FETCHES
from access.maintenance.key_set_metrics import KeySetMetrics
from access.maintenance.key_sets import KeySetPolling
from access.provisioning.plan import Plan
from access.provisioning.provision import Provisioning, Show
from servicekit.access.admission import Authority
from servicekit.access.authority import CredentialAuthority
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
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.relay import relay_source
from servicekit.relay.outbox import outbox_journal, outbox_source
from servicekit.service import Service, own_migrations, processes
from servicekit.service.metrics import API, MAINTENANCE, RELAY, ServiceMetrics
from servicekit.service.processes import database_check, health_pool_settings
from servicekit.telemetry import Telemetry
from servicekit.tenant_pool import TenantPool, open_tenants

ASKED_WITHIN_S: Final = 3.0
"""How long a request waits for a connection over which the database is asked whether it is whole."""
_LONG_S: Final = 600.0
"""How long one statement of a decision may take."""
_LONG: Final = {"transaction_timeout": "10min", "lock_timeout": "1min"}
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


METRICS: Final = ServiceMetrics(
    service=SERVICE,
    processes={"api": API, "relay": RELAY, "worker": (*MAINTENANCE, KeySetMetrics)},
    labels={"access_key_set_fetches_total": {"outcome": FETCHES}},
)
"""The metrics of its processes, and what may stand in their labels."""


def make_recorder(standing: Standing) -> Recorder:
    """Return what records changes, as long as *standing* allows it."""
    return Recorder(AccessProjection(access_projection_name(SERVICE.slug)), standing)


def _topic(settings: AccessSettings) -> AccessTopic:
    return AccessTopic(settings.brokers, settings.access_topic)


@asynccontextmanager
async def _continuity(settings: AccessSettings, pools: PoolSettings) -> AsyncIterator[Continuity]:
    """Give what compares the database with the topic, over a pool beside the one of *pools*."""
    own = replace(pools, application_name=f"{pools.application_name}-continuity", acquire_timeout_s=ASKED_WITHIN_S)
    async with await open_pool(own) as pool, open_continuity(pool, _topic(settings)) as continuity:
        yield continuity


@asynccontextmanager
async def _standing(settings: AccessSettings, given: Standing | None) -> AsyncIterator[Standing]:
    """Give the *given* one, or a look at the topic of its own."""
    if given is not None:
        yield given
        return
    async with _continuity(settings, settings.api.pool) as continuity:
        yield continuity


# -- the API


async def serve_api(settings: AccessSettings, shutdown: Shutdown, *, once_class: type[Once] = Once) -> None:
    """Run the API process until *shutdown*; commands are run by a *once_class*."""
    await processes.serve_api(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        dsn=settings.access_database_url,
        open_app=lambda telemetry: open_api(settings, telemetry, once_class=once_class),
    )


@asynccontextmanager
async def open_api(
    settings: AccessSettings,
    telemetry: Telemetry,
    *,
    authority: Authority | None = None,
    standing: Standing | None = None,
    resolver: Resolver | None = None,
    once_class: type[Once] = Once,
) -> AsyncIterator[Edge]:
    """Give the API's application; *authority* replaces its own, *standing* its look at the topic, *resolver* DNS.

    Commands are run by a *once_class*.
    """
    pools = settings.api.pool
    async with (
        _standing(settings, standing) as whole,
        await open_pool(pools) as pool,
        await open_pool(settings.reads) as reads,
        await open_pool(health_pool_settings(pools)) as health,
        open_authority(settings.knowing, telemetry.registry, authority) as admitting,
        _vetting(settings, resolver) as vetting,
        processes.depending(telemetry, health, settings.brokers),
    ):
        telemetry.pools.watch("api", pool)
        telemetry.pools.watch("reads", reads)
        yield _app(
            settings,
            telemetry,
            _while_whole(admitting, whole),
            routes=_routes(
                Commands(KeyedCommands(once_class(pool, table="access.idempotency")), pool),
                make_recorder(whole),
                await open_tenants(reads),
                vetting,
            ),
            health=health,
        )


def _while_whole(authority: Authority, standing: Standing) -> Authority:
    """Return *authority*, which is asked only while *standing* is a look at the topic that has found nothing amiss."""
    if not isinstance(standing, Continuity):
        return authority
    if isinstance(authority, CredentialAuthority):
        standing.forgets(authority.forget)
    return WholeAuthority(authority, standing)


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


def _routes(commands: Commands, recorder: Recorder, tenants: TenantPool, vetting: Vetting) -> list[Route]:
    pool = commands.pool
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
        _continuity(settings, process.pool) as continuity,
        open_worker(settings, telemetry, pool, continuity),
    ):
        telemetry.pools.watch("worker", pool)
        await processes.run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name="worker",
            port=process.port,
            pool=pool,
            work=_until_the_end,
            brokers=settings.brokers,
        )


@asynccontextmanager
async def open_worker(
    settings: AccessSettings,
    telemetry: Telemetry,
    pool: Pool,
    standing: Standing,
    *,
    resolver: Resolver | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[KeySetPolling]:
    """Run a worker's jobs while the body runs, which change things as long as *standing* allows.

    *resolver* replaces DNS, *tls* the system's trust.
    """
    async with _vetting(settings, resolver) as vetting:
        fetcher = Fetcher(
            vetting,
            bytes_max=DOCUMENT_BYTES_MAX,
            timeout_s=settings.access_fetch_timeout_s,
            agent="wallet-platform-access/1",
            tls=tls,
        )
        metrics = KeySetMetrics(telemetry.registry)
        polling = KeySetPolling(pool, make_recorder(standing), fetcher, metrics)
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


# -- what operators run


async def provision(settings: AccessSettings, plan: Plan, show: Show) -> None:
    """Make what *plan* says and is not there yet; *show* is given each new key.

    Raises Halted where the database is not known to have all that was told, and PlanError.
    """
    async with _provisioning(settings, show) as provisioning:
        await provisioning.provision(plan)


async def try_provisioning(settings: AccessSettings, plan: Plan) -> int:
    """Return how many changes `provision` would make, and make none; raises as it does."""
    async with _provisioning(settings, lambda _: None) as provisioning:
        return await provisioning.count(plan)


@asynccontextmanager
async def _provisioning(settings: AccessSettings, show: Show) -> AsyncIterator[Provisioning]:
    async with await open_pool(settings.operating_pool) as pool:
        continuity = Continuity(pool, _topic(settings))
        await compared(continuity)
        yield Provisioning(pool, make_recorder(continuity), show)


async def take_over(settings: AccessSettings, operator: str, *, dry_run: bool = False) -> Taken:
    """Bring the database back to what the topic has, as *operator* has decided; raises as `TakingOver.run` does."""
    own = AccessProjection(access_projection_name(SERVICE.slug))
    async with await open_pool(replace(settings.operating_pool, session=_LONG, command_timeout_s=_LONG_S)) as pool:
        return await TakingOver(pool, _topic(settings), own).run(operator, dry_run=dry_run)
