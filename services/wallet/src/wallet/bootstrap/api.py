"""The API process: the application, the committer behind it, and its jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.lifecycle import Shutdown
from servicekit.maintenance import Job
from servicekit.postgres import Pool, open_pool
from servicekit.service import processes
from servicekit.service.processes import health_pool_settings
from servicekit.telemetry import PoolCollector, Telemetry
from wallet.application.committer import Committer
from wallet.application.dry_run import DryRun
from wallet.application.metrics import FoldMetrics
from wallet.application.ports import Ledger
from wallet.application.queue import CommandQueue
from wallet.bootstrap import SERVICE, jobs, maintaining
from wallet.bootstrap.committing import open_committer, planning
from wallet.bootstrap.health import ApiHealth
from wallet.bootstrap.jobs import Halt
from wallet.config import WalletSettings
from wallet.domain.catalog import KINDS
from wallet.entrypoints.command_routes import command_routes
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.reads import transaction_reads, wallet_reads
from wallet.reads.reads_postgres import PostgresReads


async def serve_api(
    settings: WalletSettings,
    shutdown: Shutdown,
    *,
    ledger: Ledger | None = None,
    committer_class: type[Committer] = Committer,
) -> None:
    """Run the API process until *shutdown*; its commands are committed to *ledger*, else to PostgreSQL's own."""
    await processes.serve_api(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        open_app=lambda telemetry: open_api(
            settings, telemetry, ledger=ledger, committer_class=committer_class, shutdown=shutdown
        ),
    )


@asynccontextmanager
async def open_api(
    settings: WalletSettings,
    telemetry: Telemetry,
    *,
    ledger: Ledger | None = None,
    committer_class: type[Committer] = Committer,
    shutdown: Shutdown | None = None,
) -> AsyncIterator[Edge]:
    """Give the API's application with its committer at work; on the way out the queue is drained."""
    halt = Halt()
    pools = settings.api.pool
    async with await open_pool(pools) as pool, await open_pool(health_pool_settings(pools)) as health_pool:
        telemetry.registry.register(PoolCollector("reads", pool))
        committing_on = open_committer(
            settings, telemetry, halt, ledger=ledger, committer_class=committer_class, shutdown=shutdown
        )
        async with (
            committing_on as (queue, committing),
            maintaining(settings, "api", telemetry, _jobs(settings, telemetry, halt)),
        ):
            health = ApiHealth(pool=health_pool, committing=committing, mode=settings.mode)
            yield _app(settings, telemetry, queue=queue, pool=pool, health=health)


def _jobs(settings: WalletSettings, telemetry: Telemetry, halt: Halt) -> list[Job]:
    return [
        jobs.look_for_halt(halt),
        jobs.make_partitions(),
        jobs.forget_keys(settings.wallet_idempotency_days),
        jobs.fold_system_accounts(FoldMetrics(telemetry.registry)),
    ]


def _app(
    settings: WalletSettings,
    telemetry: Telemetry,
    *,
    queue: CommandQueue,
    pool: Pool,
    health: ApiHealth,
) -> Edge:
    planned = planning(settings)
    deadline_s = settings.wallet_command_deadline_s
    reads = PostgresReads(pool, KINDS)
    handlers = CommandHandlers(
        queue=queue,
        dry_run=DryRun(reads, planned, deadline_s=deadline_s),
        deadline_s=deadline_s,
    )
    return create_app(
        title="Wallet",
        description="The command side: wallets, and the money in them.",
        settings=settings,
        telemetry=telemetry,
        routes=[
            *wallet_reads(reads),
            *transaction_reads(reads, planned.hash_reference),
            *command_routes(handlers),
        ],
        readiness=health.ready,
        deep=health.deep,
    )
