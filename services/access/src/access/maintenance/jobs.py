"""The jobs of workers. One of them forgets for all."""

from datetime import UTC, datetime
from typing import Final

from servicekit.maintenance import Job, JobRun

CHUNK_ROWS: Final = 2_000
_FORGET_S: Final = 60.0
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)

# The lower bound passes over the index entries of what was deleted before, which stay until the table is vacuumed.
_FORGET_KEYS: Final = """
    with old as materialized (
        select client, key, created_at from access.idempotency
        where created_at >= $1 and created_at < now() - make_interval(days => $2) order by created_at limit $3
    ), gone as (
        delete from access.idempotency as i using old where (i.client, i.key) = (old.client, old.key) returning 1
    )
    select (select count(*) from gone) as forgotten, (select max(created_at) from old) as newest"""


def worker_jobs(idempotency_days: int) -> list[Job]:
    """Return what workers do by themselves: forget idempotency keys that are older."""
    forgotten_until = _BEGINNING

    async def forget(run: JobRun) -> int:
        nonlocal forgotten_until
        async with run.transaction() as tx:
            row = await tx.connection.fetchrow(_FORGET_KEYS, forgotten_until, idempotency_days, CHUNK_ROWS)
        assert row is not None, "a query without a from clause has a row"
        forgotten_until = row["newest"] or forgotten_until
        return int(row["forgotten"])

    return [Job(name="forget_keys", interval_s=_FORGET_S, run=forget, chunk_rows=CHUNK_ROWS, has_leader=True)]
