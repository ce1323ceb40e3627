"""A job's end and its event, in one transaction."""

from typing import Final

from contracts.history import JOB_FINISHED, JobFinished
from contracts.ids import new_id
from servicekit.postgres import Transaction
from servicekit.relay import outbox
from servicekit.relay.outbox import OutboxEvent
from transaction_history.domain.jobs import JobStatus
from transaction_history.jobs.rows import COLUMNS, Job, JobFile, job_of

_END: Final = f"""
    update history_jobs.job
    set status = $2, failure = $3, lease_token = null, leased_until = null, finished_at = now(),
        done_rows = coalesce($6, done_rows),
        file_name = $4, media_type = $5, file_rows = $6, size_bytes = $7, sha256 = $8,
        expires_at = case when $2 = 'succeeded' then now() + make_interval(days => $9) end
    where id = $1 and status in ('queued', 'running') returning {COLUMNS}"""


async def end(
    tx: Transaction,
    job: Job,
    status: JobStatus,
    *,
    failure: str | None = None,
    made: JobFile | None = None,
    kept_days: int = 0,
) -> Job:
    """End *job*, whose row the caller holds, and tell of it; the last thing that *tx* does."""
    named = (None,) * 5 if made is None else (made.name, made.media_type, made.rows, made.size_bytes, made.sha256)
    row = await tx.connection.fetchrow(_END, job.id, status, failure, *named, kept_days)
    assert row is not None, "a job that is held has not ended"
    ended = job_of(row)
    assert ended.finished_at is not None
    told = JobFinished(
        job_id=str(job.id),
        kind=job.kind,
        status=status,
        failure=failure,
        rows=None if made is None else made.rows,
        size_bytes=None if made is None else made.size_bytes,
        sha256=None if made is None else made.sha256.hex(),
    )
    event = OutboxEvent(
        event_id=new_id(),
        tenant_id=job.tenant_id,
        subject=job.id,
        type=JOB_FINISHED,
        data=told,
        occurred_at=ended.finished_at,
    )
    await outbox.append(tx, [event])
    return ended
