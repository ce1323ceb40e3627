"""The committer at work on its queue, and the chores beside it, as every process has them that takes commands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from servicekit.postgres import Pool
from servicekit.telemetry import Telemetry
from wallet.adapters import upkeep_postgres
from wallet.adapters.ledger_postgres import PostgresLedger, make_id
from wallet.adapters.reference_hash import reference_hasher
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.metrics import CommitterMetrics
from wallet.application.ports import Ledger
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.upkeep import Chore, Upkeep
from wallet.config import WalletSettings

_HALT_CHECK_S: Final = 1.0


@dataclass(slots=True)
class Halt:
    """Whether the relay found the topic ahead of the journal: read by the committer, written by upkeep."""

    is_halted: bool = False


@asynccontextmanager
async def open_committer(
    settings: WalletSettings,
    telemetry: Telemetry,
    halt: Halt,
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


def _queue(settings: WalletSettings, metrics: CommitterMetrics, halt: Halt) -> CommandQueue:
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


@asynccontextmanager
async def upkeep(chores: list[Chore]) -> AsyncIterator[None]:
    """Do *chores* meanwhile."""
    working = asyncio.create_task(Upkeep(chores).run(), name="upkeep")
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def look_for_halt(pool: Pool, halt: Halt) -> Chore:
    """Return the chore that keeps *halt* up to date."""

    async def look() -> None:
        halt.is_halted = await upkeep_postgres.is_halted(pool)

    return Chore(name="halt", every_s=_HALT_CHECK_S, run=look)
