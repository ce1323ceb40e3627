"""What operators ask of a projection: `python -m <service> projections status | rewind`; `unparking` has the third."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from servicekit.consumer import checkpoints
from servicekit.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """How far one shard is projected; *stopped* is `gap`, `diverged` or None."""

    shard: int
    last_seq: int
    partition: int
    offset: int
    stopped: str | None
    lag_ms: int
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedSubject:
    """A subject whose events wait, since the one with sequence *seq* failed for *reason*."""

    subject: UUID
    shard: int
    seq: int
    events: int
    reason: str
    parked_at: datetime


async def status(connection: Connection, projection: str) -> list[ShardStatus]:
    """Return every shard that has a checkpoint."""
    rows = await connection.fetch(
        """select shard, last_seq, topic_partition as partition, kafka_offset as offset, stopped, updated_at
           from servicekit.checkpoint where projection = $1 order by shard""",
        projection,
    )
    reached = await checkpoints.progress(connection, projection)
    return [ShardStatus(**dict(row), lag_ms=reached[row["shard"]].lag_ms) for row in rows]


async def parked_subjects(connection: Connection, projection: str) -> list[ParkedSubject]:
    """Return every parked subject, the longest parked first."""
    rows = await connection.fetch(
        """select subject, shard, seq, reason, parked_at, events
           from servicekit.parked_subject where projection = $1 order by parked_at, subject""",
        projection,
    )
    return [ParkedSubject(**dict(row)) for row in rows]


async def rewind(connection: Connection, projection: str, shard: int, *, offset: int = 0) -> bool:
    """Have the shard's partition read again from *offset*; return False if the shard has no checkpoint.

    Checkpoints stay where they are: what was applied is skipped, what was missing is applied, and a stopped shard is
    free to go on. The running consumer does it within a second or two, a stopped one when it starts.
    """
    found = await connection.fetchval(
        "update servicekit.checkpoint set seek_to = $3 where projection = $1 and shard = $2 returning true",
        projection,
        shard,
        offset,
    )
    return bool(found)
