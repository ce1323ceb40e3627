"""Whether the journal still has what was published: after a restore, or a failover with a loss, it has not."""

from collections.abc import Collection, Iterable, Sequence

import structlog

from servicekit.postgres import Connection, transaction
from servicekit.relay import halts
from servicekit.relay.errors import TopicAhead
from servicekit.relay.halts import TopicEnd
from servicekit.relay.journal import SqlJournal
from servicekit.relay.leases import Lease
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.shards import Mark

_log = structlog.get_logger(__name__)


async def lacking(journal: SqlJournal, connection: Connection, records: Sequence[TopicEnd]) -> list[TopicEnd]:
    """Return those of *records* in whose place *journal* has nothing, or another event."""
    if not records:
        return []
    known = await journal.event_ids(connection, [(record.shard, record.sequence) for record in records])
    return [record for record in records if known.get((record.shard, record.sequence)) != record.event_id]


class Comparison:
    """Compares records of the topic with *journal*, and halts relay and committers where it lacks one."""

    def __init__(self, journal: SqlJournal, metrics: RelayMetrics) -> None:
        self._journal = journal
        self._metrics = metrics

    async def lacking(self, connection: Connection, records: Sequence[TopicEnd]) -> list[TopicEnd]:
        """Return those of *records* in whose place the journal has nothing, or another event."""
        return await lacking(self._journal, connection, records)

    async def marks(self, connection: Connection, leases: Iterable[Lease]) -> dict[int, Mark]:
        """Return, by shard, the record at the cursor of each of *leases*."""
        cursors = [(lease.shard, lease.cursor) for lease in leases]
        known = await self._journal.event_ids(connection, cursors) if cursors else {}
        return {shard: Mark(cursor, known.get((shard, cursor))) for shard, cursor in cursors}

    async def halt(self, connection: Connection, lacking: Collection[TopicEnd]) -> None:
        """Record that the journal lacks *lacking*; raise TopicAhead unless an operator has accepted all of them."""
        async with transaction(connection):
            for record in lacking:
                await halts.record(connection, record)
        await self.refuse_while_halted(connection)

    async def refuse_while_halted(self, connection: Connection) -> None:
        """Raise TopicAhead while there is a halt that no operator has cleared."""
        halted = await halts.active(connection)
        self._metrics.halted(is_halted=bool(halted))
        if halted:
            first = halted[0]
            _log.error("relay.halted", records=len(halted))
            raise TopicAhead(
                f"the journal lacks {first.topic}-{first.partition}@{first.offset}, sequence {first.sequence} of shard"
                f" {first.shard}: restored behind it"
            )
