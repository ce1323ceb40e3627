"""The committer at work on its queue, as every process has it that takes commands."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from servicekit.lifecycle import Shutdown
from servicekit.postgres import connect
from servicekit.service.processes import end_with
from servicekit.settings import Mode
from servicekit.telemetry import Telemetry, get_logger
from wallet.adapters.durability_postgres import unsafe_settings
from wallet.adapters.ids import IDS
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.adapters.reference_hash import reference_hasher
from wallet.application.commit_spans import CommitSpans
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import Planning
from wallet.application.queue import CommandQueue
from wallet.bootstrap.jobs import Halt
from wallet.bootstrap.parts import Parts
from wallet.config import WalletSettings
from wallet.entrypoints.rendering import JsonRenderer
from wallet.entrypoints.slices import Catalog

_PRODUCT: Final = Parts()


@asynccontextmanager
async def open_committer(
    settings: WalletSettings,
    telemetry: Telemetry,
    halt: Halt,
    *,
    parts: Parts = _PRODUCT,
    shutdown: Shutdown | None = None,
) -> AsyncIterator[tuple[CommandQueue, "asyncio.Task[None]"]]:
    """Give a queue and the committer that works on it; on the way out the queue is drained.

    A committer that ends of itself requests *shutdown*: nothing of the process is of use without it. Raises
    MoneyUnsafe.
    """
    await refuse_unsafe_money(settings)
    own_ledger = PostgresLedger(
        settings.wallet_database_url, kinds=parts.catalog.kinds, commit_lock=settings.wallet_commit_lock
    )
    database = urlsplit(settings.wallet_database_url).path.removeprefix("/")
    metrics = CommitterMetrics(telemetry.registry, CommitSpans(telemetry.tracing, database))
    queue = _queue(settings, metrics, halt)
    committer = parts.committer_class(
        parts.ledger or own_ledger,
        queue,
        planning=planning(settings, parts.catalog),
        metrics=metrics,
        settings=settings.committer,
    )
    committing = asyncio.create_task(committer.run(), name="committer")
    if shutdown is not None:
        end_with(committing, "committer", shutdown)
    try:
        yield queue, committing
    finally:
        queue.close()
        await asyncio.wait([committing])
        await own_ledger.close()


class MoneyUnsafe(Exception):
    """The database may lose what it acknowledged. The message names the settings."""


async def refuse_unsafe_money(settings: WalletSettings) -> None:
    """Raise MoneyUnsafe, outside development, where the committer's sessions would not keep what they acknowledge."""
    connection = await connect(settings.wallet_database_url, application_name="wallet-durability")
    try:
        unsafe = await unsafe_settings(connection)
    finally:
        await connection.close()
    if not unsafe:
        return
    if settings.mode is not Mode.DEVELOPMENT:
        raise MoneyUnsafe(f"acknowledged money could be lost: {', '.join(unsafe)}; set each in PostgreSQL to be safe")
    get_logger().warning("money.unsafe", settings=unsafe)


def planning(settings: WalletSettings, catalog: Catalog) -> Planning:
    """Return what the plans of a process are made with, those of dry runs too."""
    return Planning(
        ids=IDS,
        draw_stamp=partial(secrets.randbits, 63),
        hash_reference=reference_hasher(settings.wallet_reference_key.get_secret_value().encode()),
        renderer=JsonRenderer(catalog.answers),
        clock_ahead_max=timedelta(seconds=settings.wallet_clock_ahead_s),
    )


def _queue(settings: WalletSettings, metrics: CommitterMetrics, halt: Halt) -> CommandQueue:
    metrics.watch_halt(lambda: halt.is_halted)
    queue = CommandQueue(settings.queue, metrics=metrics, is_halted=lambda: halt.is_halted)
    metrics.watch_queue(lambda: queue.commands, lambda: queue.age_s, depth_max=settings.queue.commands_max)
    return queue
