"""What exports read: where the projection is, and rows, some thousands at a time, each in a transaction of its own."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from contracts.ids import SHARDS
from contracts.positions import covers
from servicekit.consumer import checkpoints
from servicekit.failures import OperationalError
from servicekit.read_model.projected import freshness
from transaction_history.domain.targets import Why
from transaction_history.exports.plan import Plan
from transaction_history.jobs.rows import Snapshot
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.targets import Target, Targets

CHUNK_ROWS: Final = 2_500
"""Scanned by one statement: some ten milliseconds, a few megabytes."""
# One statement, and so one instant.
_LOOK: Final = f"""
    select array(select coalesce(c.last_seq, 0) from generate_series(0, 63) as s (shard)
                 left join servicekit.checkpoint as c on c.projection = $1 and c.shard = s.shard
                 order by s.shard) as as_of,
           array(select p.subject from servicekit.parked_subject as p
                 join {SCHEMA}.wallet as w on w.wallet_id = p.subject and w.tenant_id = $2
                 where p.projection = $1 order by p.subject) as parked"""


class ExportReader:
    """Reads what belongs to one tenant at a time, from a replica where one has what the job looks at."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    async def look(self, tenant_id: UUID) -> Snapshot:
        """Return how far the projection is, and what is parked."""
        async with self._targets.primary.tenants.reading(tenant_id) as connection:
            fresh = freshness(await checkpoints.progress(connection, SCHEMA), range(SHARDS))
            row = await connection.fetchrow(_LOOK, SCHEMA, tenant_id)  # which sees no less
        assert row is not None
        return Snapshot(as_of=tuple(row["as_of"]), parked=tuple(row["parked"]), complete_until=fresh.complete_until)

    async def chunk(
        self, tenant_id: UUID, plan: Plan, after: str | None, room: int
    ) -> tuple[Sequence[Any], str | None]:
        """Return up to *room* rows of one scan behind *after*, and the place behind it, None where nothing is."""
        query, values = plan.statement(after, CHUNK_ROWS)
        found = await self.fetch(tenant_id, plan.seen, query, values)
        wanted = [record for record in found if record["is_wanted"]]
        if len(wanted) > room:
            return wanted[:room], plan.place_of(wanted[room - 1])
        has_more = bool(found) and found[-1]["place"] == CHUNK_ROWS
        return wanted, plan.place_of(found[-1]) if has_more else None

    async def fetch(self, tenant_id: UUID, seen: Snapshot, query: str, values: Sequence[object]) -> Sequence[Any]:
        """Return the rows of *query*, of a server that has come to *seen*."""
        choice = self._targets.choose(seen.position)
        why = choice.why
        if choice.replica is not None:
            why = Why.NONE_COVERS
            try:
                rows = await self._of_replica(self._targets.replica(choice.replica), tenant_id, seen, query, values)
            except OperationalError:
                rows, why = None, Why.REPLICA_FAILED
            if rows is not None:
                self._targets.count(self._targets.replica(choice.replica), choice.why)
                return rows
        primary = self._targets.primary
        self._targets.count(primary, why)
        async with primary.tenants.reading(tenant_id) as connection:
            return await connection.fetch(query, *values)

    async def _of_replica(
        self, replica: Target, tenant_id: UUID, seen: Snapshot, query: str, values: Sequence[object]
    ) -> Sequence[Any] | None:
        """Return the rows of a replica, None where it is not that far; nobody waits for it."""
        async with replica.tenants.reading(tenant_id) as connection:
            progress = await replica.projected.progress_on(connection)
            if not covers({shard: found.last_seq for shard, found in progress.items()}, seen.position):
                return None
            return await connection.fetch(query, *values)
