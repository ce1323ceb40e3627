"""What operators run, each command joined and shown on the terminal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from servicekit.postgres import open_pool
from servicekit.relay import halts
from servicekit.relay.topic_positions import BrokenTopic, UnknownTopic
from servicekit.service import processes
from wallet.bootstrap import SERVICE, SOURCE
from wallet.bootstrap.background import open_decisions
from wallet.bootstrap.catalog import CATALOG
from wallet.config import WalletOwnerSettings, WalletSettings
from wallet.domain.facts import JournalBreachError
from wallet.fraud_restrictions.projection import FraudRestrictions
from wallet.maintenance import rebuild_postgres, verify_postgres
from wallet.maintenance.archive import ArchiveError
from wallet.maintenance.archive_postgres import open_archiver
from wallet.maintenance.folding import Folding
from wallet.maintenance.journal_reads import JournalBusyError
from wallet.maintenance.rebuild_postgres import RepairRefusedError
from wallet.maintenance.replay_kafka import Replay, ReplayError, ReplaySettings
from wallet.maintenance.terminal.archiving import show_archiving
from wallet.maintenance.terminal.rebuilding import show_rebuild
from wallet.maintenance.terminal.replaying import show_replay
from wallet.maintenance.terminal.verifying import show_verification

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
FOLDING: Final = Folding(CATALOG.facts, CATALOG.kinds)


@asynccontextmanager
async def operate_decisions(settings: WalletSettings) -> AsyncIterator[FraudRestrictions]:
    """Give an operator what acts on fraud decisions."""
    async with (
        processes.open_process(settings, SERVICE, "operator", dsn=settings.wallet_database_url) as telemetry,
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
    async with await open_pool(settings.reading("operator")) as pool, pool.connection() as connection:
        return await halts.clear(connection, operator=operator)


async def active_halts(settings: WalletSettings) -> list[halts.RelayHalt]:
    """Return what `clear_halts` would end."""
    async with await open_pool(settings.reading("operator")) as pool, pool.connection() as connection:
        return await halts.active(connection)


async def archive_partitions(owner: WalletOwnerSettings, *, keep: int, dry_run: bool = False) -> int:
    """Archive the complete partitions but the newest *keep*, on the terminal; return how many. A dry run names them.

    As the owner: only it can detach, and the app role, which every process has, must stay unable to.
    Raises ArchiveError, JournalBusyError and JournalBreachError.
    """
    async with open_archiver(owner.wallet_owner_database_url, FOLDING) as archiver:
        return await show_archiving(archiver, keep=keep, dry_run=dry_run)


async def rebuild_wallets(settings: WalletSettings, *, operator: str | None) -> bool:
    """Derive the wallets' rows again and compare, on the terminal; where *operator* asks for it, repair them.

    Return whether every row is what its journal makes of it. Raises JournalBusyError and RepairRefusedError.
    """
    dsn = settings.wallet_database_url
    work = rebuild_postgres.rebuild if operator is None else partial(rebuild_postgres.repair, operator=operator)
    return await show_rebuild(lambda: rebuild_postgres.count_rows(dsn), lambda progress: work(dsn, FOLDING, progress))


async def count_journal(settings: WalletSettings) -> int:
    """Return how many rows of the journal, about, a replay reads."""
    return await rebuild_postgres.count_rows(settings.wallet_database_url)


async def replay_journal(settings: WalletSettings, topic: str, *, resume: bool, without_missing: bool) -> bool:
    """Write the journal to the fresh *topic* again, on the terminal; return whether it has all that was published.

    Raises ReplayError, UnknownTopic, BrokenTopic and JournalBusyError.
    """
    replaying = Replay(
        ReplaySettings(
            dsn=settings.wallet_database_url,
            brokers=settings.brokers,
            topic=topic,
            live_topic=settings.wallet_events_topic,
            source=SOURCE,
            schema_base=settings.wallet_schema_url,
            resume=resume,
            without_missing=without_missing,
        )
    )
    return await show_replay(replaying.count, replaying.run, topic)
