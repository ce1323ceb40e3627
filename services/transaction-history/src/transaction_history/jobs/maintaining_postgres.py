"""What workers do with jobs by themselves: files expire, objects of what has ended are deleted, rows are forgotten."""

from datetime import UTC, datetime
from typing import Final

from servicekit.maintenance import Job as MaintenanceJob
from servicekit.maintenance import JobRun
from transaction_history.jobs.metrics import JobMetrics
from transaction_history.jobs.objects import Objects

CHUNK_ROWS: Final = 500
CLEARED_ROWS: Final = 20
"""Jobs whose objects are deleted in one chunk: each asks the store several times."""
_EVERY_S: Final = 5.0
_CLEAR_S_MAX: Final = 60.0
ROWS_KEPT_DAYS: Final = 90
"""How long one can tell that there was a job, behind its file."""
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)

_EXPIRE: Final = """
    update history_jobs.job set status = 'expired'
    where id in (select id from history_jobs.job
                 where status = 'succeeded' and expires_at < now() order by expires_at limit $1)"""
# A worker that has lost a job notices within its lease; what it wrote until then is deleted too.
_UNCLEARED: Final = """
    select id, tenant_id from history_jobs.job
    where status in ('failed', 'cancelled', 'expired') and not is_cleared
      and finished_at < now() - make_interval(secs => $1)
    order by finished_at limit $2"""
_CLEARED: Final = "update history_jobs.job set is_cleared = true where id = $1"
_FORGET: Final = """
    delete from history_jobs.job
    where id in (select id from history_jobs.job
                 where is_cleared and finished_at < now() - make_interval(days => $1) order by finished_at limit $2)"""
# The lower bound passes over the index entries of what was deleted before, which stay until the table is vacuumed.
_FORGET_KEYS: Final = """
    with old as materialized (
        select client, key, created_at from history_jobs.idempotency
        where created_at >= $1 and created_at < now() - make_interval(days => $2) order by created_at limit $3
    ), gone as (
        delete from history_jobs.idempotency as i using old where (i.client, i.key) = (old.client, old.key) returning 1
    )
    select (select count(*) from gone) as forgotten, (select max(created_at) from old) as newest"""
_WAITING: Final = """
    select count(*) filter (where status = 'queued') as queued, count(*) filter (where status = 'running') as running,
           coalesce(extract(epoch from max(now() - due_at) filter (where status = 'queued')), 0)::float8 as oldest_s
    from history_jobs.job where status in ('queued', 'running')"""


class JobKeeping:
    """Keeps the jobs' tables small, and the store. *lease_s* is a worker's, *keys_days* for idempotency keys."""

    def __init__(self, objects: Objects, metrics: JobMetrics, *, lease_s: float, keys_days: int) -> None:
        self._objects = objects
        self._metrics = metrics
        self._lease_s = lease_s
        self._keys_days = keys_days
        self._since = _BEGINNING

    def jobs(self) -> list[MaintenanceJob]:
        """Return what is done every so often."""
        leading = {
            "expire_files": (self.expire, CHUNK_ROWS),
            "clear_files": (self.clear, CLEARED_ROWS),
            "forget_jobs": (self.forget, CHUNK_ROWS),
            "forget_keys": (self.forget_keys, CHUNK_ROWS),
        }
        return [
            MaintenanceJob(name="measure_jobs", interval_s=_EVERY_S, run=self.measure),
            *(
                MaintenanceJob(
                    name=name,
                    interval_s=_EVERY_S,
                    run=run,
                    chunk_rows=rows,
                    has_leader=True,
                    deadline_s=_CLEAR_S_MAX if name == "clear_files" else _EVERY_S * 2,
                )
                for name, (run, rows) in leading.items()
            ),
        ]

    async def measure(self, run: JobRun) -> int:
        """Tell how many jobs have not ended."""
        row = await run.connection.fetchrow(_WAITING)
        assert row is not None
        self._metrics.waiting({"queued": row["queued"], "running": row["running"]}, row["oldest_s"])
        return 0

    async def expire(self, run: JobRun) -> int:
        """Have files not be there any longer whose time is over."""
        async with run.transaction() as tx:
            return _count(await tx.connection.execute(_EXPIRE, CHUNK_ROWS))

    async def clear(self, run: JobRun) -> int:
        """Delete the objects of jobs that ended without a file, or whose file has expired."""
        rows = await run.connection.fetch(_UNCLEARED, 2 * self._lease_s, CLEARED_ROWS)
        for row in rows:
            await self._objects.delete_below(f"{row['tenant_id']}/{row['id']}/")
            async with run.transaction() as tx:
                await tx.connection.execute(_CLEARED, row["id"])
        return len(rows)

    async def forget(self, run: JobRun) -> int:
        """Delete the rows of jobs that ended long ago."""
        async with run.transaction() as tx:
            return _count(await tx.connection.execute(_FORGET, ROWS_KEPT_DAYS, CHUNK_ROWS))

    async def forget_keys(self, run: JobRun) -> int:
        """Delete old idempotency keys."""
        async with run.transaction() as tx:
            row = await tx.connection.fetchrow(_FORGET_KEYS, self._since, self._keys_days, CHUNK_ROWS)
        assert row is not None
        forgotten: int = row["forgotten"]
        self._since = row["newest"] if forgotten >= CHUNK_ROWS else _BEGINNING
        return forgotten


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
