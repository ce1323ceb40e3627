"""Drift and repair, joined."""

from collections.abc import AsyncIterator
from uuid import UUID

from servicekit.postgres import open_pool
from servicekit.telemetry import Telemetry
from transaction_history.bootstrap.rebuilding import Rebuilt
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.domain.private_text import ClearText
from transaction_history.domain.terms import Hasher
from transaction_history.indexing.index_postgres import PostgresIndex
from transaction_history.indexing.projection import INDEX
from transaction_history.maintenance.comparing import Compared, Comparing, LedgerComparing
from transaction_history.maintenance.drift import Drift, DriftMetrics, Range, look
from transaction_history.maintenance.index_comparing import IndexComparing
from transaction_history.maintenance.repair import Repair, Repaired


def _comparing(settings: HistorySettings, what: Rebuilt) -> Comparing:
    return LedgerComparing() if what is Rebuilt.LEDGER else IndexComparing(ClearText(), Hasher(settings.search_key))


def drifts(settings: HistorySettings, telemetry: Telemetry) -> list[Drift]:
    """Return what a worker looks for drift with; each projection has half of the events."""
    metrics = DriftMetrics(telemetry.registry)
    return [
        Drift(
            _comparing(settings, what),
            brokers=settings.brokers,
            topic=settings.transaction_history_topic,
            events_per_s=settings.transaction_history_drift_events_per_s // len(Rebuilt),
            metrics=metrics,
        )
        for what in Rebuilt
    ]


async def drift(settings: HistorySettings, wanted: Range, *, what: Rebuilt = Rebuilt.LEDGER) -> AsyncIterator[Compared]:
    """Compare what is *wanted* of a projection with the topic, and give what was found run by run."""
    async with await open_pool(settings.rebuilding) as pool:
        found = look(
            _comparing(settings, what),
            wanted,
            pool=pool,
            brokers=settings.brokers,
            topic=settings.transaction_history_topic,
        )
        async for compared in found:
            yield compared


async def repair(
    settings: HistorySettings, owner: HistoryOwnerSettings, wallet_id: UUID, *, operator: str, dry_run: bool = False
) -> Repaired:
    """Write what both projections have of a wallet anew from the topic, or try to; raises RepairError."""
    repairing = Repair(
        wallet_id,
        index=PostgresIndex(INDEX, segment=settings.transaction_history_search_segment),
        private_text=ClearText(),
        hasher=Hasher(settings.search_key),
        operator=operator,
    )
    return await repairing.run(
        owner.transaction_history_owner_database_url,
        brokers=settings.brokers,
        topic=settings.transaction_history_topic,
        dry_run=dry_run,
    )
