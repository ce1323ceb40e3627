"""The API process: the application, the committer behind it, and its jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from servicekit.access.admission import Authority
from servicekit.access.opening import open_authority
from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.lifecycle import Shutdown
from servicekit.maintenance import Job
from servicekit.postgres import open_pool
from servicekit.service import processes
from servicekit.service.processes import health_pool_settings
from servicekit.telemetry import Telemetry
from servicekit.tenant_pool import TenantPool, open_tenants
from wallet.application.dry_run import DryRun
from wallet.application.metrics import SweepMetrics
from wallet.application.queue import CommandQueue
from wallet.bootstrap import SERVICE, jobs, maintaining
from wallet.bootstrap.committing import open_committer, planning
from wallet.bootstrap.health import ApiHealth
from wallet.bootstrap.jobs import Halt
from wallet.bootstrap.parts import Parts
from wallet.config import WalletSettings
from wallet.entrypoints.batches import BatchMembers
from wallet.entrypoints.command_routes import command_routes
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.currencies import currencies_page
from wallet.entrypoints.fx import quote_reads
from wallet.entrypoints.limits import limit_reads
from wallet.entrypoints.policy import policy_reads
from wallet.entrypoints.reads import hold_reads, transaction_reads, wallet_reads
from wallet.entrypoints.slices import Catalog, Lookups
from wallet.reads.rates_postgres import FxRates
from wallet.reads.reads_postgres import LedgerReads
from wallet.sweeping.sweeper import Sweeper

_PRODUCT: Final = Parts()


async def serve_api(
    settings: WalletSettings,
    shutdown: Shutdown,
    *,
    parts: Parts = _PRODUCT,
    authority: Authority | None = None,
) -> None:
    """Run the API process until *shutdown*; *parts* are what it is joined from, *authority* replaces its own."""
    await processes.serve_api(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        dsn=settings.wallet_database_url,
        open_app=lambda telemetry: open_api(settings, telemetry, parts=parts, authority=authority, shutdown=shutdown),
    )


@asynccontextmanager
async def open_api(
    settings: WalletSettings,
    telemetry: Telemetry,
    *,
    parts: Parts = _PRODUCT,
    authority: Authority | None = None,
    shutdown: Shutdown | None = None,
) -> AsyncIterator[Edge]:
    """Give the API's application with its committer at work; on the way out the queue is drained.

    *authority* replaces its own.
    """
    halt = Halt()
    health_pools = health_pool_settings(settings.reading("api"))
    async with await open_pool(settings.api.pool) as pool, await open_pool(health_pools) as health_pool:
        telemetry.pools.watch("reads", pool)
        async with (
            open_committer(settings, telemetry, halt, parts=parts, shutdown=shutdown) as (queue, committing),
            maintaining(settings, "api", telemetry, _jobs(settings, telemetry, halt, queue)),
            open_authority(settings.knowing, telemetry.registry, authority) as admitting,
            processes.depending(telemetry, health_pool),
        ):
            yield _app(
                settings,
                telemetry,
                authority=admitting,
                catalog=parts.catalog,
                queue=queue,
                tenants=await open_tenants(pool),
                health=ApiHealth(pool=health_pool, committing=committing, mode=settings.mode),
            )


def _jobs(settings: WalletSettings, telemetry: Telemetry, halt: Halt, queue: CommandQueue) -> list[Job]:
    sweeper = Sweeper(queue, metrics=SweepMetrics(telemetry.registry), deadline_s=settings.wallet_command_deadline_s)
    return [
        jobs.look_for_halt(halt),
        jobs.make_partitions(),
        jobs.sweep(sweeper, settings.wallet_sweep_every_s),
    ]


def _app(
    settings: WalletSettings,
    telemetry: Telemetry,
    *,
    authority: Authority,
    catalog: Catalog,
    queue: CommandQueue,
    tenants: TenantPool,
    health: ApiHealth,
) -> Edge:
    planned = planning(settings, catalog)
    reads = LedgerReads(tenants, catalog.kinds)
    handlers = CommandHandlers(
        queue=queue,
        dry_run=DryRun(reads, planned),
        members=BatchMembers(catalog),
        preparing=catalog.preparing,
        lookups=Lookups(reads=reads, rates=_rates(settings, tenants)),
        deadline_s=settings.wallet_command_deadline_s,
    )
    return create_app(
        title="Wallet",
        description="The command side: wallets, and the money in them.",
        settings=settings,
        telemetry=telemetry,
        authority=authority,
        routes=[
            *wallet_reads(reads),
            *hold_reads(reads),
            *quote_reads(reads),
            *policy_reads(reads),
            *limit_reads(reads),
            *transaction_reads(reads, planned.hash_reference),
            *command_routes(handlers, catalog),
        ],
        readiness=health.ready,
        deep=health.deep,
        public_pages=(currencies_page(),),
    )


def _rates(settings: WalletSettings, tenants: TenantPool) -> FxRates | None:
    if settings.wallet_rates_url is None:
        return None
    return FxRates(tenants, age_max_s=settings.wallet_rates_age_max_s)
