"""The checkpoints of a projection, in its own database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from servicekit.consumer.sequencing import Checkpoint, Stop
from servicekit.postgres import Connection, Transaction

LAG_STALE_MS: Final = 3_000
"""What was measured, or read by the publisher, longer ago than this grows old: somebody on the way is stopped."""

_LOCK = """
    select shard, last_seq, last_event_id, topic_partition, kafka_offset, stopped from servicekit.checkpoint
    where projection = $1 and shard = any ($2::smallint[]) order by shard for no key update"""


# Against the newest watermark that is known: 0 where it is covered and young, else the age of the newest one that is.
# Where none is, the end of the partition tells what it can.
_PROGRESS = """
    select p.shard, p.last_seq,
           case when p.is_newest and p.age_ms < $2 then 0
                else coalesce(p.age_ms, greatest(p.known_age_ms, p.behind_end_ms, 0)) end::bigint as lag_ms,
           p.read_at
    from (
        select shard, coalesce(c.last_seq, 0) as last_seq, m.read_at, m.is_newest,
               extract(epoch from t.now - m.read_at) * 1000 as age_ms,
               extract(epoch from t.now - w.known_at) * 1000 as known_age_ms,
               l.lag_ms + greatest(0, extract(epoch from t.now - l.measured_at) * 1000 - $2) as behind_end_ms
        from (select clock_timestamp() as now) as t
        cross join (
            (select * from servicekit.checkpoint where projection = $1) as c
            full join (select * from servicekit.watermark where projection = $1) as w using (shard)
        )
        left join servicekit.projection_lag as l on l.projection = $1 and l.topic_partition = c.topic_partition
        cross join lateral (
            select coalesce(w.known_seq <= coalesce(c.last_seq, 0), false) as is_newest,
                   case when w.known_seq <= coalesce(c.last_seq, 0) then w.known_at
                        when w.covered_seq <= coalesce(c.last_seq, 0) then w.covered_at end as read_at
        ) as m
    ) as p"""


class Progress(NamedTuple):
    """How far a shard is projected, and how many milliseconds that is behind.

    All that the publisher's database showed of it at *read_at* is applied; None where that is not known.
    """

    last_seq: int
    lag_ms: int
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a partition was behind its end, when the broker last told where that is, *told_ms_ago*."""

    partition: int
    records: int
    milliseconds: int
    told_ms_ago: int


async def lock(tx: Transaction, projection: str, partitions: Mapping[int, int]) -> dict[int, Checkpoint]:
    """Lock and return the checkpoints of the shards of *partitions* (shard to partition), making those not there."""
    shards = sorted(partitions)
    rows = await tx.connection.fetch(_LOCK, projection, shards)
    if len(rows) < len(shards):
        await tx.connection.execute(
            """insert into servicekit.checkpoint (projection, shard, topic_partition)
               select $1, shard, partition from unnest($2::smallint[], $3::int[]) as new (shard, partition)
               order by shard on conflict do nothing""",
            projection,
            shards,
            [partitions[shard] for shard in shards],
        )
        rows = await tx.connection.fetch(_LOCK, projection, shards)
    return {
        row["shard"]: Checkpoint(
            row["shard"],
            row["last_seq"],
            row["last_event_id"],
            row["topic_partition"],
            row["kafka_offset"],
            None if row["stopped"] is None else Stop(row["stopped"]),
        )
        for row in rows
    }


async def store(tx: Transaction, projection: str, checkpoints: Sequence[Checkpoint]) -> None:
    """Write the locked *checkpoints* back."""
    await tx.connection.execute(
        """update servicekit.checkpoint as c
           set last_seq = n.last_seq, last_event_id = n.last_event_id, topic_partition = n.partition,
               kafka_offset = n.kafka_offset, stopped = n.stopped, updated_at = clock_timestamp()
           from unnest($2::smallint[], $3::bigint[], $4::uuid[], $5::int[], $6::bigint[], $7::text[])
                as n (shard, last_seq, last_event_id, partition, kafka_offset, stopped)
           where c.projection = $1 and c.shard = n.shard""",
        projection,
        [checkpoint.shard for checkpoint in checkpoints],
        [checkpoint.last_seq for checkpoint in checkpoints],
        [checkpoint.last_event_id for checkpoint in checkpoints],
        [checkpoint.partition for checkpoint in checkpoints],
        [checkpoint.offset for checkpoint in checkpoints],
        [checkpoint.stopped for checkpoint in checkpoints],
    )


async def progress(connection: Connection, projection: str) -> dict[int, Progress]:
    """Return the progress of every shard that has come so far as to have a checkpoint, or a watermark."""
    rows = await connection.fetch(_PROGRESS, projection, LAG_STALE_MS)
    # By position: this runs for every read.
    return {shard: Progress(last_seq, lag_ms, read_at) for shard, last_seq, lag_ms, read_at in rows}


async def reached(connection: Connection, projection: str, shards: Collection[int]) -> dict[int, int]:
    """Return the last sequence applied of each of *shards* that has a checkpoint: what is asked again and again."""
    rows = await connection.fetch(
        "select shard, last_seq from servicekit.checkpoint where projection = $1 and shard = any ($2::smallint[])",
        projection,
        list(shards),
    )
    return {row["shard"]: row["last_seq"] for row in rows}


async def partition_of_shard(connection: Connection, projection: str, shard: int) -> int | None:
    """Return the partition that the shard was read from, None if it has no checkpoint."""
    partition: int | None = await connection.fetchval(
        "select topic_partition from servicekit.checkpoint where projection = $1 and shard = $2", projection, shard
    )
    return partition


async def read_to(connection: Connection, projection: str) -> dict[int, int]:
    """Return by partition the offset behind the last record that was applied: of no gap, where all before it is."""
    rows = await connection.fetch(
        """select topic_partition, max(kafka_offset) as kafka_offset from servicekit.checkpoint
           where projection = $1 group by topic_partition""",
        projection,
    )
    return {row["topic_partition"]: row["kafka_offset"] for row in rows}


async def store_lags(connection: Connection, projection: str, lags: Sequence[Lag]) -> None:
    """Write how far behind each partition was when the broker last told, for readers."""
    await connection.execute(
        """insert into servicekit.projection_lag (projection, topic_partition, lag_records, lag_ms, measured_at)
           select $1, partition, records, ms, clock_timestamp() - make_interval(secs => told_ms_ago / 1000.0)
           from unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[])
               as n (partition, records, ms, told_ms_ago)
           order by partition
           on conflict (projection, topic_partition) do update
               set lag_records = excluded.lag_records, lag_ms = excluded.lag_ms, measured_at = excluded.measured_at""",
        projection,
        [lag.partition for lag in lags],
        [lag.records for lag in lags],
        [lag.milliseconds for lag in lags],
        [lag.told_ms_ago for lag in lags],
    )


async def take_seeks(connection: Connection, projection: str, partitions: Sequence[int]) -> dict[int, int]:
    """Return where operators want *partitions* to be read again (partition to offset), and take the request off.

    A shard that had stopped is free to go on.
    """
    rows = await connection.fetch(
        """with asked as (
               select shard, seek_to from servicekit.checkpoint
               where projection = $1 and seek_to is not null and topic_partition = any ($2::int[])
               order by shard for no key update
           )
           update servicekit.checkpoint as c set seek_to = null, stopped = null
           from asked where c.projection = $1 and c.shard = asked.shard
           returning c.topic_partition, asked.seek_to""",
        projection,
        partitions,
    )
    seeks: dict[int, int] = {}
    for row in rows:
        seeks[row["topic_partition"]] = min(row["seek_to"], seeks.get(row["topic_partition"], row["seek_to"]))
    return seeks
