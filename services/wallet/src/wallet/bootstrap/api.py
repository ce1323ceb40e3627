"""The API process: the application, the committer behind it, and its chores."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from servicekit.http.app import create_app
from servicekit.http.edge import Edge
from servicekit.http.health import Check
from servicekit.postgres import Pool, open_pool
from servicekit.process import Shutdown
from servicekit.service import Port, processes
from servicekit.telemetry import PoolCollector, Telemetry
from wallet.adapters import system_accounts_postgres, upkeep_postgres
from wallet.adapters.ledger_postgres import make_id
from wallet.adapters.reads_postgres import PostgresReads
from wallet.adapters.reference_hash import reference_hasher
from wallet.application.committer import Committer
from wallet.application.metrics import UpkeepMetrics
from wallet.application.ports import Ledger
from wallet.application.queue import CommandQueue
from wallet.application.upkeep import Chore
from wallet.bootstrap import SERVICE, pool_settings
from wallet.bootstrap.committing import Halt, look_for_halt, open_committer, upkeep
from wallet.config import WalletSettings
from wallet.entrypoints.command_routes import command_routes
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.reads import transaction_reads, wallet_reads

_PARTITIONS_S: Final = 30.0
_FORGET_S: Final = 5.0
_FOLD_S: Final = 1.0


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
        port=Port(settings.wallet_api_port, "WALLET_API_PORT"),
        open_app=lambda telemetry: open_api(settings, telemetry, ledger=ledger, committer_class=committer_class),
    )


@asynccontextmanager
async def open_api(
    settings: WalletSettings,
    telemetry: Telemetry,
    *,
    ledger: Ledger | None = None,
    committer_class: type[Committer] = Committer,
) -> AsyncIterator[Edge]:
    """Give the API's application with its committer at work; on the way out the queue is drained."""
    halt = Halt()
    async with await open_pool(pool_settings(settings, "api")) as pool:
        telemetry.registry.register(PoolCollector("reads", pool))
        chores = [look_for_halt(pool, halt), *_chores(settings, telemetry, pool)]
        committing_on = open_committer(settings, telemetry, halt, ledger=ledger, committer_class=committer_class)
        async with committing_on as (queue, committing), upkeep(chores):
            yield _app(settings, telemetry, queue, pool, committing)


def _chores(settings: WalletSettings, telemetry: Telemetry, pool: Pool) -> list[Chore]:
    metrics = UpkeepMetrics(telemetry.registry)

    async def forget_keys() -> None:
        while await upkeep_postgres.forget_keys(pool, settings.wallet_idempotency_days) == upkeep_postgres.LOT:
            pass

    async def fold_system_accounts() -> None:
        await system_accounts_postgres.fold(pool)
        metrics.fold_lag(await system_accounts_postgres.lag_rows(pool))

    return [
        Chore(name="partitions", every_s=_PARTITIONS_S, run=lambda: upkeep_postgres.make_partitions(pool)),
        Chore(name="forget_keys", every_s=_FORGET_S, run=forget_keys),
        Chore(name="fold_system_accounts", every_s=_FOLD_S, run=fold_system_accounts),
    ]


def _app(
    settings: WalletSettings, telemetry: Telemetry, queue: CommandQueue, pool: Pool, committing: "asyncio.Task[None]"
) -> Edge:
    hash_reference = reference_hasher(settings.wallet_reference_key.get_secret_value().encode())
    reads = PostgresReads(pool)
    handlers = CommandHandlers(
        queue=queue,
        snapshots=reads,
        make_id=make_id,
        hash_reference=hash_reference,
        deadline_s=settings.wallet_command_deadline_s,
    )

    async def ready() -> Mapping[str, Check]:
        works = not committing.done()
        committer = Check(ok=works, detail="at work" if works else "ended")
        return {**await processes.database_check(pool), "committer": committer}

    async def deep() -> Mapping[str, Check]:
        headroom = await upkeep_postgres.journal_headroom(pool)
        halted = await upkeep_postgres.is_halted(pool)
        behind = await system_accounts_postgres.lag_rows(pool)
        return {
            **await ready(),
            "journal": Check(ok=headroom > 0, detail=f"{headroom} sequence numbers of room in made partitions"),
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
        routers=[wallet_reads(reads), transaction_reads(reads, hash_reference)],
        hot_routes=command_routes(handlers),
        readiness=ready,
        deep=deep,
    )
