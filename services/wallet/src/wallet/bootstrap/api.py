"""The API process: the application, the committer behind it, and its jobs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from servicekit.health import Check
from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.lifecycle import Shutdown
from servicekit.maintenance import Job
from servicekit.postgres import Pool, open_pool
from servicekit.relay import halts
from servicekit.service import processes
from servicekit.settings import Mode
from servicekit.telemetry import PoolCollector, Telemetry
from wallet.adapters import partitions_postgres, system_accounts_postgres
from wallet.adapters.durability_postgres import unsafe_settings
from wallet.application.committer import Committer
from wallet.application.dry_run import DryRun
from wallet.application.metrics import FoldMetrics
from wallet.application.ports import Ledger
from wallet.application.queue import CommandQueue
from wallet.bootstrap import SERVICE, jobs, maintaining
from wallet.bootstrap.committing import open_committer, planning
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
    async with await open_pool(pools) as pool, await open_pool(processes.health_pool_settings(pools)) as health:
        telemetry.registry.register(PoolCollector("reads", pool))
        committing_on = open_committer(
            settings, telemetry, halt, ledger=ledger, committer_class=committer_class, shutdown=shutdown
        )
        async with (
            committing_on as (queue, committing),
            maintaining(settings, "api", telemetry, _jobs(settings, telemetry, halt)),
        ):
            yield _app(settings, telemetry, queue=queue, pool=pool, health=health, committing=committing)


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
    health: Pool,
    committing: "asyncio.Task[None]",
) -> Edge:
    planned = planning(settings)
    deadline_s = settings.wallet_command_deadline_s
    reads = PostgresReads(pool, KINDS)
    handlers = CommandHandlers(
        queue=queue,
        dry_run=DryRun(reads, planned, deadline_s=deadline_s),
        deadline_s=deadline_s,
    )

    async def ready() -> Mapping[str, Check]:
        works = not committing.done()
        committer = Check(ok=works, detail="at work" if works else "ended")
        return {**await processes.database_check(health), "committer": committer}

    async def deep() -> Mapping[str, Check]:
        works = await ready()
        async with health.connection() as connection:
            headroom = await partitions_postgres.journal_headroom(connection)
            attached = await partitions_postgres.attached_partitions(connection)
            halted = bool(await halts.active(connection))
            behind = await system_accounts_postgres.lag_rows(connection)
            unsafe = await unsafe_settings(connection)
        return {
            **works,
            "durability": Check(
                ok=not unsafe or settings.mode is Mode.DEVELOPMENT,
                detail=f"acknowledged money could be lost: {', '.join(unsafe)}" if unsafe else "safe",
            ),
            "journal": Check(
                ok=headroom > 0 and attached <= partitions_postgres.ATTACHED_MAX,
                detail=f"{headroom} sequence numbers of room in {attached} partitions",
            ),
            "system_accounts": Check(
                ok=behind <= system_accounts_postgres.LAG_ROWS_MAX,
                detail=f"totals are {behind} rows behind the journal",
            ),
            "relay": Check(ok=not halted, detail="the topic is ahead of the journal" if halted else "not halted"),
        }

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
        readiness=ready,
        deep=deep,
    )
