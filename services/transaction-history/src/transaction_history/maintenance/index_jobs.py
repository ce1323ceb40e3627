"""What the indexer does by itself: partitions ahead of time, and minutes that are kept no longer."""

from datetime import timedelta
from typing import Final

from servicekit.maintenance import Job, JobRun
from transaction_history.domain.index import MINUTES_KEPT
from transaction_history.indexing.projection import INDEX

CHUNK_ROWS: Final = 5_000
AHEAD: Final = timedelta(days=90)
"""A poll waits for no partition to be made."""
_FORGET_S: Final = 60.0
_AHEAD_S: Final = 3_600.0
_FORGET: Final = f"""
    delete from {INDEX}.minute_total where ctid = any (array(
        select ctid from {INDEX}.minute_total where minute < clock_timestamp() - $1::interval
        limit {CHUNK_ROWS} for update skip locked))"""
_ENSURE: Final = f"""
    select {INDEX}.ensure_search_segments(
        array(select generate_series(clock_timestamp(), clock_timestamp() + $1::interval, interval '1 day')),
        $2, false)"""


def index_jobs(segment: str) -> list[Job]:
    """Return the indexer's jobs; *segment* is the width of the partitions it makes."""

    async def forget(run: JobRun) -> int:
        async with run.transaction() as tx:
            deleted = await tx.connection.execute(_FORGET, MINUTES_KEPT)
        return int(deleted.removeprefix("DELETE "))

    async def ensure(run: JobRun) -> int:
        async with run.transaction() as tx:
            made: int = await tx.connection.fetchval(_ENSURE, AHEAD, segment)
        return made

    return [
        Job(name="forget_minutes", interval_s=_FORGET_S, run=forget, chunk_rows=CHUNK_ROWS),
        Job(name="ensure_search_segments", interval_s=_AHEAD_S, run=ensure, may_pause=False),
    ]
