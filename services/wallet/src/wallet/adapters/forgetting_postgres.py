"""Idempotency records forgotten when their time is over, the oldest first, in chunks."""

from datetime import UTC, datetime
from typing import Final

from servicekit.maintenance import JobRun

CHUNK_ROWS: Final = 10_000

# now() and not clock_timestamp(): only what is stable within the statement can be looked up in an index. The lower
# bound passes over the index entries of what was deleted before, which stay until the table is vacuumed.
FORGET: Final = """
    with old as materialized (
        select ctid as place, created_at from wallet.idempotency
         where created_at >= $1 and created_at < now() - make_interval(days => $2)
         order by created_at limit $3
    ), gone as (
        delete from wallet.idempotency i using old where i.ctid = old.place returning 1
    )
    select (select count(*) from gone) as forgotten, (select max(created_at) from old) as newest"""


class KeyForgetting:
    """Forgets what is older than *days*, and remembers how far it is."""

    def __init__(self, days: int) -> None:
        self._days = days
        self._since = datetime(1, 1, 1, tzinfo=UTC)

    async def forget_chunk(self, run: JobRun) -> int:
        """Delete one chunk; return how many records there were. After one that was not full it begins anew."""
        async with run.transaction() as tx:
            row = await tx.connection.fetchrow(FORGET, self._since, self._days, CHUNK_ROWS)
        assert row is not None
        forgotten: int = row["forgotten"]
        self._since = row["newest"] if forgotten >= CHUNK_ROWS else datetime(1, 1, 1, tzinfo=UTC)
        return forgotten
