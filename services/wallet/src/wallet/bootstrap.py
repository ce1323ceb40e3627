"""The one place where the wallet's parts are joined, by hand, from arguments."""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Final

from contracts.registry import TYPES_BY_NUMBER
from contracts.topics import WALLET_EVENTS
from servicekit.http.app import create_app, create_process_app
from servicekit.http.edge import Edge
from servicekit.http.health import Check
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.process import Shutdown, event_loop_delay, serve_http
from servicekit.relay import halts, relay_source
from servicekit.relay.errors import RelayError
from servicekit.relay.journal import SqlJournal, relay_pool_settings
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.publisher import Publisher, PublisherSettings
from servicekit.relay.relay import Relay, RelaySettings
from servicekit.telemetry import PoolCollector, Telemetry, get_logger, open_telemetry
from wallet.adapters import upkeep_postgres, verify_postgres
from wallet.adapters.ledger_postgres import PostgresLedger, make_id
from wallet.adapters.reads_postgres import PostgresReads
from wallet.adapters.reference_hash import reference_hasher
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.metrics import CommitterMetrics
from wallet.application.ports import Ledger
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.upkeep import Chore, Upkeep
from wallet.config import WalletSettings
from wallet.entrypoints.command_routes import command_routes
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.reads import read_routes
from wallet.entrypoints.verifying import show_verification

VERSION: Final = metadata.version("wallet")
SERVICE: Final = "wallet"
SOURCE: Final = "/wallet"
"""The `ce_source` of every event of this service."""
_HALT_CHECK_S: Final = 1.0
_PARTITIONS_S: Final = 30.0
_FORGET_S: Final = 5.0


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables, the relay's, the ledger's."""
    beside_sources = Path(__file__).parents[2] / "migrations"
    folder = beside_sources if beside_sources.is_dir() else resources.files("wallet") / "migrations"
    return [servicekit_source(), relay_source(), MigrationSource("wallet", folder)]


@dataclass(slots=True)
class _Halt:
    """Whether the relay found the topic ahead of the journal: read by the committer, written by upkeep."""

    is_halted: bool = False


@asynccontextmanager
async def open_api(
    settings: WalletSettings, telemetry: Telemetry, *, ledger: Ledger | None = None
) -> AsyncIterator[Edge]:
    """Give the API's application with its committer at work; on the way out the queue is drained."""
    own_ledger = PostgresLedger(settings.wallet_database_url, takes_turn=settings.wallet_takes_turn)
    halt = _Halt()
    async with await open_pool(_read_pool(settings)) as pool:
        telemetry.registry.register(PoolCollector("reads", pool))
        metrics = CommitterMetrics(telemetry.registry)
        queue = _queue(settings, metrics, halt)
        committer = _committer(settings, metrics, ledger or own_ledger, queue)
        committing = asyncio.create_task(committer.run(), name="committer")
        upkeep = asyncio.create_task(_upkeep(settings, pool, halt).run(), name="upkeep")
        try:
            yield _app(settings, telemetry, queue, pool, committing)
        finally:
            upkeep.cancel()
            queue.close()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(committing, upkeep)
            await own_ledger.close()


def _read_pool(settings: WalletSettings) -> PoolSettings:
    return PoolSettings(
        dsn=settings.wallet_database_url,
        application_name="wallet-api",
        max_size=settings.wallet_read_connections,
    )


def _queue(settings: WalletSettings, metrics: CommitterMetrics, halt: _Halt) -> CommandQueue:
    limits = QueueLimits(commands_max=settings.wallet_queue_commands, age_max_s=settings.wallet_queue_age_s)
    queue = CommandQueue(limits, metrics=metrics, is_halted=lambda: halt.is_halted)
    metrics.watch_queue(lambda: queue.commands, lambda: queue.age_s)
    return queue


def _committer(settings: WalletSettings, metrics: CommitterMetrics, ledger: Ledger, queue: CommandQueue) -> Committer:
    return Committer(
        ledger,
        queue,
        make_id=make_id,
        hash_reference=reference_hasher(settings.wallet_reference_key.get_secret_value().encode()),
        metrics=metrics,
        settings=CommitterSettings(
            batch_commands_max=settings.wallet_batch_commands, decides_ahead=settings.wallet_decides_ahead
        ),
    )


def _upkeep(settings: WalletSettings, pool: Pool, halt: _Halt) -> Upkeep:
    async def look_for_halt() -> None:
        halt.is_halted = await upkeep_postgres.is_halted(pool)

    async def forget_keys() -> None:
        while await upkeep_postgres.forget_keys(pool, settings.wallet_idempotency_days) == upkeep_postgres.LOT:
            pass

    return Upkeep(
        [
            Chore(name="halt", every_s=_HALT_CHECK_S, run=look_for_halt),
            Chore(name="partitions", every_s=_PARTITIONS_S, run=lambda: upkeep_postgres.make_partitions(pool)),
            Chore(name="forget_keys", every_s=_FORGET_S, run=forget_keys),
        ]
    )


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
        async with pool.connection() as connection:
            await connection.fetchval("select 1")
        works = not committing.done()
        return {
            "database": Check(ok=True, detail="answers"),
            "committer": Check(ok=works, detail="at work" if works else "ended"),
        }

    async def deep() -> Mapping[str, Check]:
        headroom = await upkeep_postgres.journal_headroom(pool)
        halted = await upkeep_postgres.is_halted(pool)
        return {
            **await ready(),
            "journal": Check(ok=headroom > 0, detail=f"{headroom} sequence numbers of room in made partitions"),
            "relay": Check(ok=not halted, detail="the topic is ahead of the journal" if halted else "not halted"),
        }

    return create_app(
        title="Wallet",
        description="The command side: wallets, and the money in them.",
        settings=settings,
        telemetry=telemetry,
        routers=[read_routes(reads, hash_reference)],
        hot_routes=command_routes(handlers),
        readiness=ready,
        deep=deep,
    )


async def serve_api(settings: WalletSettings, shutdown: Shutdown, *, ledger: Ledger | None = None) -> None:
    """Run the API process until *shutdown*; its commands are committed by *ledger*, else by PostgreSQL's own."""
    telemetry = open_telemetry(settings, service=SERVICE, process="api", version=VERSION)
    try:
        async with open_api(settings, telemetry, ledger=ledger) as app, event_loop_delay(telemetry.registry):
            await serve_http(
                app,
                host=settings.host,
                port=settings.wallet_api_port,
                shutdown=shutdown,
                drain_s=settings.drain_s,
                port_setting="WALLET_API_PORT",
            )
    finally:
        telemetry.close()


async def run_relay(
    settings: WalletSettings, shutdown: Shutdown, *, publisher_class: type[Publisher] = Publisher
) -> None:
    """Run the relay process until *shutdown*; where the relay must not go on, the process ends with its code."""
    telemetry = open_telemetry(settings, service=SERVICE, process="relay", version=VERSION)
    pool_settings = relay_pool_settings(settings.wallet_database_url, application_name="wallet-relay")
    try:
        async with await open_pool(pool_settings) as pool, event_loop_delay(telemetry.registry):
            telemetry.registry.register(PoolCollector("relay", pool))
            relaying = asyncio.create_task(
                _relay(settings, telemetry, pool, publisher_class).run(shutdown), name="relay"
            )
            relaying.add_done_callback(lambda task: _end_with(task, shutdown))
            await _serve_relay_pages(settings, telemetry, pool, relaying, shutdown)
            await asyncio.wait([relaying])
    finally:
        telemetry.close()


def _relay(settings: WalletSettings, telemetry: Telemetry, pool: Pool, publisher_class: type[Publisher]) -> Relay:
    owner = f"{socket.gethostname()}:{os.getpid()}"
    metrics = RelayMetrics(telemetry.registry)
    publisher = publisher_class(
        PublisherSettings(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            topic=WALLET_EVENTS.name,
            client_id="wallet-relay",
            schema_base=settings.wallet_schema_url,
        ),
        metrics,
    )
    return Relay(
        RelaySettings(
            owner=owner,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            topic=WALLET_EVENTS.name,
            lease_s=settings.wallet_relay_lease_s,
        ),
        pool=pool,
        journal=SqlJournal(table="wallet.journal", types=TYPES_BY_NUMBER, source=SOURCE),
        publisher=publisher,
        metrics=metrics,
        jitter=random.Random(owner),  # noqa: S311 - jitter, not a secret
    )


def _end_with(relaying: "asyncio.Task[None]", shutdown: Shutdown) -> None:
    """End the process with the relay: its supervisor starts it afresh."""
    error = None if relaying.cancelled() else relaying.exception()
    if error is not None:
        get_logger().critical("relay.ended", error=repr(error))
        shutdown.request(error.exit_code if isinstance(error, RelayError) else 1)


async def _serve_relay_pages(
    settings: WalletSettings, telemetry: Telemetry, pool: Pool, relaying: "asyncio.Task[None]", shutdown: Shutdown
) -> None:
    async def ready() -> Mapping[str, Check]:
        async with pool.connection() as connection:
            await connection.fetchval("select 1")
        works = not relaying.done()
        return {
            "database": Check(ok=True, detail="answers"),
            "relay": Check(ok=works, detail="at work" if works else "ended"),
        }

    await serve_http(
        create_process_app(settings=settings, telemetry=telemetry, readiness=ready, deep=ready),
        host=settings.host,
        port=settings.wallet_relay_port,
        shutdown=shutdown,
        drain_s=settings.drain_s,
        port_setting="WALLET_RELAY_PORT",
    )


async def verify_ledger(settings: WalletSettings) -> bool:
    """Verify the ledger on the terminal; return whether it holds."""
    dsn = settings.wallet_database_url
    return await show_verification(
        lambda: verify_postgres.count_rows(dsn), lambda progress: verify_postgres.verify(dsn, progress)
    )


async def clear_halts(settings: WalletSettings, operator: str) -> int:
    """Record an operator's decision to go on; return how many halts it ends."""
    async with await open_pool(_read_pool(settings)) as pool, pool.connection() as connection:
        return await halts.clear(connection, operator=operator)
