"""A rebuild, joined."""

from enum import StrEnum

from contracts.topics import WALLET_EVENTS
from servicekit.consumer.topic_reader import open_topic
from servicekit.migrations import Roles
from servicekit.postgres import open_pool
from transaction_history.bootstrap.parts import history_source, index_source, make_index_projection, make_projection
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.indexing.projection import INDEX
from transaction_history.maintenance.rebuild import Comparison, Rebuild, Rebuildable
from transaction_history.projection.read_model_postgres import SCHEMA


class Rebuilt(StrEnum):
    """Which projection is rebuilt."""

    LEDGER = "ledger"
    INDEX = "index"


def _rebuildable(settings: HistorySettings, what: Rebuilt) -> Rebuildable:
    if what is Rebuilt.LEDGER:
        return Rebuildable(
            name=SCHEMA,
            source=history_source(),
            projecting=lambda schema: make_projection(settings, schema),
            may_be_outdated=True,
        )
    return Rebuildable(
        name=INDEX,
        source=index_source(),
        projecting=lambda schema: make_index_projection(settings, schema),
        # Segments are made ahead, and minutes are forgotten.
        uncompared=frozenset({"search_segment", "minute_total"}),
        names_itself=True,
    )


async def rebuild(
    settings: HistorySettings,
    owner: HistoryOwnerSettings,
    *,
    switch: bool,
    what: Rebuilt = Rebuilt.LEDGER,
    partitions: int = WALLET_EVENTS.partitions,
) -> Comparison:
    """Build a projection a second time from the topic's beginning, compare, and switch where asked."""
    topic = settings.transaction_history_topic
    async with (
        await open_pool(settings.rebuilding) as pool,
        open_topic(settings.brokers, topic, partitions) as reader,
    ):
        rebuilding = Rebuild(
            _rebuildable(settings, what),
            owner_dsn=owner.transaction_history_owner_database_url,
            roles=Roles(owner.transaction_history_app_role, owner.transaction_history_reader_role),
            pool=pool,
        )
        return await rebuilding.run(reader, switch=switch)
