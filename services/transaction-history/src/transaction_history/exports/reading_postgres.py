"""What exports read: where the projection is, and rows, some thousands at a time, each in a transaction of its own."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from contracts.ids import SHARDS
from servicekit.consumer import checkpoints
from servicekit.read_model.projected import freshness
from servicekit.tenant_pool import TenantPool
from transaction_history.exports.plan import Plan
from transaction_history.jobs.rows import Snapshot
from transaction_history.projection.read_model_postgres import SCHEMA

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
    """Reads what belongs to one tenant at a time."""

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def look(self, tenant_id: UUID) -> Snapshot:
        """Return how far the projection is, and what is parked."""
        async with self._tenants.reading(tenant_id) as connection:
            fresh = freshness(await checkpoints.progress(connection, SCHEMA), range(SHARDS))
            row = await connection.fetchrow(_LOOK, SCHEMA, tenant_id)  # which sees no less
        assert row is not None
        return Snapshot(as_of=tuple(row["as_of"]), parked=tuple(row["parked"]), complete_until=fresh.complete_until)

    async def chunk(
        self, tenant_id: UUID, plan: Plan, after: str | None, room: int
    ) -> tuple[Sequence[Any], str | None]:
        """Return up to *room* rows of one scan behind *after*, and the place behind it, None where nothing is."""
        query, values = plan.statement(after, CHUNK_ROWS)
        async with self._tenants.reading(tenant_id) as connection:
            found = await connection.fetch(query, *values)
        wanted = [record for record in found if record["is_wanted"]]
        if len(wanted) > room:
            return wanted[:room], plan.place_of(wanted[room - 1])
        has_more = bool(found) and found[-1]["place"] == CHUNK_ROWS
        return wanted, plan.place_of(found[-1]) if has_more else None
