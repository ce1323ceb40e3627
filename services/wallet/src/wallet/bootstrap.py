"""The one place where the wallet's parts are joined, by hand, from arguments."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from typing import Final

from contracts.registry import TYPES_BY_NUMBER
from contracts.topics import WALLET_EVENTS
from servicekit.consumer import consumer_source
from servicekit.consumer.projection import Projection
from servicekit.http.app import create_app
from servicekit.http.edge import Edge
from servicekit.http.health import Check
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.process import Shutdown
from servicekit.relay import halts, relay_source
from servicekit.relay.journal import SqlJournal
from servicekit.relay.publisher import Publisher
from servicekit.relay.relay import Relay
from servicekit.relay.topic_positions import BrokenTopic, UnknownTopic
from servicekit.service import Port, Service, own_migrations, processes
from servicekit.service.processes import ConsumerProcess, RelayProcess
from servicekit.telemetry import PoolCollector, Telemetry
from wallet.adapters import rebuild_postgres, system_accounts_postgres, upkeep_postgres, verify_postgres
from wallet.adapters.archive_postgres import open_archiver
from wallet.adapters.decisions_postgres import PostgresDecisionLog
from wallet.adapters.journal_reads import JournalBusyError
from wallet.adapters.ledger_postgres import PostgresLedger, make_id
from wallet.adapters.reads_postgres import PostgresReads
from wallet.adapters.rebuild_postgres import RepairRefusedError
from wallet.adapters.reference_hash import reference_hasher
from wallet.adapters.replay_kafka import Replay, ReplayError, ReplaySettings
from wallet.application.archive import ArchiveError
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.decisions import DecisionsProjection
from wallet.application.folding import JournalBreachError
from wallet.application.metrics import CommitterMetrics, DecisionMetrics, UpkeepMetrics
from wallet.application.ports import Ledger
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.upkeep import Chore, Upkeep
from wallet.config import WalletOwnerSettings, WalletSettings
from wallet.entrypoints.archiving import show_archiving
from wallet.entrypoints.command_routes import command_routes
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.reads import read_routes
from wallet.entrypoints.rebuilding import show_rebuild
from wallet.entrypoints.replaying import show_replay
from wallet.entrypoints.verifying import show_verification

SERVICE: Final = Service(name="wallet", version=metadata.version("wallet"))
SOURCE: Final = "/wallet"
"""The `ce_source` of every event of this service."""
EXPECTED_ERRORS: Final = (
    ArchiveError,
    BrokenTopic,
    JournalBreachError,
    JournalBusyError,
    RepairRefusedError,
    ReplayError,
    UnknownTopic,
)
"""What an operator's command says in a sentence: nothing was done."""
_HALT_CHECK_S: Final = 1.0
_PARTITIONS_S: Final = 30.0
_FORGET_S: Final = 5.0
_FOLD_S: Final = 1.0
_DECISIONS_PER_POLL_MAX: Final = 256
"""All of a poll's commands fit into one batch, and are done well before the consumer's transaction would time out."""


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables, the relay's, the consumer's, the ledger's."""
    return [servicekit_source(), relay_source(), consumer_source(), own_migrations("wallet", __file__)]


@dataclass(slots=True)
class _Halt:
    """Whether the relay found the topic ahead of the journal: read by the committer, written by upkeep."""

    is_halted: bool = False


@asynccontextmanager
async def open_api(
    settings: WalletSettings,
    telemetry: Telemetry,
    *,
    ledger: Ledger | None = None,
    committer_class: type[Committer] = Committer,
) -> AsyncIterator[Edge]:
    """Give the API's application with its committer at work; on the way out the queue is drained."""
    halt = _Halt()
    async with await open_pool(_pool(settings, "api")) as pool:
        telemetry.registry.register(PoolCollector("reads", pool))
        chores = [_look_for_halt(pool, halt), *_chores(settings, telemetry, pool)]
        committing_on = _committing(settings, telemetry, halt, ledger=ledger, committer_class=committer_class)
        async with committing_on as (queue, committing), _upkeep(chores):
            yield _app(settings, telemetry, queue, pool, committing)


@asynccontextmanager
async def _committing(
    settings: WalletSettings,
    telemetry: Telemetry,
    halt: _Halt,
    *,
    ledger: Ledger | None = None,
    committer_class: type[Committer] = Committer,
) -> AsyncIterator[tuple[CommandQueue, "asyncio.Task[None]"]]:
    """Give a queue and the committer that works on it; on the way out the queue is drained."""
    own_ledger = PostgresLedger(settings.wallet_database_url, takes_turn=settings.wallet_takes_turn)
    metrics = CommitterMetrics(telemetry.registry)
    queue = _queue(settings, metrics, halt)
    committer = _committer(committer_class, settings, metrics, ledger or own_ledger, queue)
    committing = asyncio.create_task(committer.run(), name="committer")
    try:
        yield queue, committing
    finally:
        queue.close()
        await asyncio.wait([committing])
        await own_ledger.close()


@asynccontextmanager
async def _upkeep(chores: list[Chore]) -> AsyncIterator[None]:
    """Do *chores* meanwhile."""
    working = asyncio.create_task(Upkeep(chores).run(), name="upkeep")
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def _pool(settings: WalletSettings, process: str) -> PoolSettings:
    return PoolSettings(
        dsn=settings.wallet_database_url,
        application_name=f"wallet-{process}",
        max_size=settings.wallet_read_connections,
    )


def _queue(settings: WalletSettings, metrics: CommitterMetrics, halt: _Halt) -> CommandQueue:
    limits = QueueLimits(commands_max=settings.wallet_queue_commands, age_max_s=settings.wallet_queue_age_s)
    queue = CommandQueue(limits, metrics=metrics, is_halted=lambda: halt.is_halted)
    metrics.watch_queue(lambda: queue.commands, lambda: queue.age_s)
    return queue


def _committer(
    committer_class: type[Committer],
    settings: WalletSettings,
    metrics: CommitterMetrics,
    ledger: Ledger,
    queue: CommandQueue,
) -> Committer:
    return committer_class(
        ledger,
        queue,
        make_id=make_id,
        hash_reference=reference_hasher(settings.wallet_reference_key.get_secret_value().encode()),
        metrics=metrics,
        settings=CommitterSettings(
            batch_commands_max=settings.wallet_batch_commands,
            decides_ahead=settings.wallet_decides_ahead,
            # Without a turn, a batch sent behind another looks at its rows before that one has moved them on.
            in_flight_max=2 if settings.wallet_takes_turn else 1,
        ),
    )


def _look_for_halt(pool: Pool, halt: _Halt) -> Chore:
    async def look() -> None:
        halt.is_halted = await upkeep_postgres.is_halted(pool)

    return Chore(name="halt", every_s=_HALT_CHECK_S, run=look)


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
        routers=[read_routes(reads, hash_reference)],
        hot_routes=command_routes(handlers),
        readiness=ready,
        deep=deep,
    )


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


async def run_relay(
    settings: WalletSettings,
    shutdown: Shutdown,
    *,
    publisher_class: type[Publisher] = Publisher,
    relay_class: type[Relay] = Relay,
) -> None:
    """Run the relay process until *shutdown*; where the relay must not go on, the process ends with its code."""
    await processes.run_relay(
        settings,
        shutdown,
        service=SERVICE,
        process=RelayProcess(
            port=Port(settings.wallet_relay_port, "WALLET_RELAY_PORT"),
            dsn=settings.wallet_database_url,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            topic=replace(WALLET_EVENTS, name=settings.wallet_events_topic),
            schema_base=settings.wallet_schema_url,
            lease_s=settings.wallet_relay_lease_s,
        ),
        journal=SqlJournal(
            table="wallet.journal", types=TYPES_BY_NUMBER, source=SOURCE, archive="wallet.archived_journal"
        ),
        publisher_class=publisher_class,
        relay_class=relay_class,
    )


async def run_decisions(
    settings: WalletSettings,
    shutdown: Shutdown,
    *,
    projection_of: Callable[[DecisionsProjection], Projection] = lambda projection: projection,
) -> None:
    """Run the process that acts on fraud decisions until *shutdown*, or until it cannot go on.

    *projection_of* may wrap the projection.
    """
    process = ConsumerProcess(
        name="decisions",
        port=Port(settings.wallet_decisions_port, "WALLET_DECISIONS_PORT"),
        dsn=settings.wallet_database_url,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        records_per_poll_max=_DECISIONS_PER_POLL_MAX,
    )
    async with (
        processes.process_telemetry(settings, SERVICE, process.name) as telemetry,
        open_decisions(settings, telemetry) as projection,
    ):
        await processes.consume(
            settings,
            shutdown,
            service=SERVICE,
            process=process,
            telemetry=telemetry,
            projection=projection_of(projection),
        )


@asynccontextmanager
async def open_decisions(settings: WalletSettings, telemetry: Telemetry) -> AsyncIterator[DecisionsProjection]:
    """Give what acts on fraud decisions, with a committer of its own at work."""
    halt = _Halt()
    async with (
        await open_pool(_pool(settings, "decisions-upkeep")) as pool,
        _committing(settings, telemetry, halt) as (queue, _),
        _upkeep([_look_for_halt(pool, halt)]),
    ):
        yield DecisionsProjection(
            queue.submit,
            PostgresDecisionLog(),
            topic=settings.wallet_decisions_topic,
            deadline_s=settings.wallet_command_deadline_s,
            metrics=DecisionMetrics(telemetry.registry),
        )


@asynccontextmanager
async def operate_decisions(settings: WalletSettings) -> AsyncIterator[DecisionsProjection]:
    """Give an operator what acts on fraud decisions."""
    async with (
        processes.process_telemetry(settings, SERVICE, "operator") as telemetry,
        open_decisions(settings, telemetry) as projection,
    ):
        yield projection


async def verify_ledger(settings: WalletSettings) -> bool:
    """Verify the ledger on the terminal; return whether it holds."""
    dsn = settings.wallet_database_url
    return await show_verification(
        lambda: verify_postgres.count_rows(dsn), lambda progress: verify_postgres.verify(dsn, progress)
    )


async def clear_halts(settings: WalletSettings, operator: str) -> int:
    """Record an operator's decision to go on; return how many halts it ends."""
    async with await open_pool(_pool(settings, "operator")) as pool, pool.connection() as connection:
        return await halts.clear(connection, operator=operator)


async def archive_partitions(owner: WalletOwnerSettings, *, keep: int) -> int:
    """Archive the complete partitions but the newest *keep*, on the terminal; return how many.

    As the owner: only it can detach, and the app role, which every process has, must stay unable to.
    Raises ArchiveError, JournalBusyError and JournalBreachError.
    """
    async with open_archiver(owner.wallet_owner_database_url) as archiver:
        return await show_archiving(archiver, keep=keep)


async def rebuild_wallets(settings: WalletSettings, *, operator: str | None) -> bool:
    """Derive the wallets' rows again and compare, on the terminal; where *operator* asks for it, repair them.

    Return whether every row is what its journal makes of it. Raises JournalBusyError and RepairRefusedError.
    """
    dsn = settings.wallet_database_url
    work = rebuild_postgres.rebuild if operator is None else partial(rebuild_postgres.repair, operator=operator)
    return await show_rebuild(lambda: rebuild_postgres.count_rows(dsn), lambda progress: work(dsn, progress))


async def replay_journal(settings: WalletSettings, topic: str, *, resume: bool, without_missing: bool) -> bool:
    """Write the journal to the fresh *topic* again, on the terminal; return whether it has all that was published.

    Raises ReplayError, UnknownTopic, BrokenTopic and JournalBusyError.
    """
    replaying = Replay(
        ReplaySettings(
            dsn=settings.wallet_database_url,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            topic=topic,
            live_topic=settings.wallet_events_topic,
            source=SOURCE,
            schema_base=settings.wallet_schema_url,
            resume=resume,
            without_missing=without_missing,
        )
    )
    return await show_replay(replaying.count, replaying.run, topic)
