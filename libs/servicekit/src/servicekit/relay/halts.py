"""Halts: relay and committers stop where a database was restored behind its topic, until an operator decides."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from servicekit.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicEnd:
    """The last record of a partition."""

    topic: str
    partition: int
    offset: int
    shard: int
    sequence: int
    event_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayHalt:
    """A record that the journal lacks, and since when relay and committers are halted because of it."""

    topic: str
    partition: int
    offset: int
    shard: int
    sequence: int
    event_id: UUID
    halted_at: datetime


async def active(connection: Connection) -> list[RelayHalt]:
    """Return the halts that no operator has cleared. While there is one, relay and committers must not run."""
    rows = await connection.fetch(
        """select topic, topic_partition as partition, kafka_offset as offset, shard, seq as sequence, event_id,
                  halted_at
           from servicekit.relay_halt where cleared_at is null order by topic, topic_partition, kafka_offset"""
    )
    return [RelayHalt(**dict(row)) for row in rows]


async def record(connection: Connection, end: TopicEnd) -> bool:
    """Record that the journal lacks *end*; returns False if an operator has already accepted this record."""
    cleared_at = await connection.fetchval(
        """insert into servicekit.relay_halt (topic, topic_partition, kafka_offset, shard, seq, event_id)
           values ($1, $2, $3, $4, $5, $6)
           on conflict (topic, topic_partition, kafka_offset) do update
               set shard = excluded.shard, seq = excluded.seq, event_id = excluded.event_id,
                   cleared_at = case when relay_halt.event_id = excluded.event_id then relay_halt.cleared_at end
           returning cleared_at""",
        end.topic,
        end.partition,
        end.offset,
        end.shard,
        end.sequence,
        end.event_id,
    )
    return cleared_at is None


async def clear(connection: Connection, *, operator: str) -> int:
    """Accept that the topic holds records the journal lacks; return how many halts that ends.

    Consumers still alarm where a sequence comes with another event id: read models are rebuilt from a topic that
    was written anew.
    """
    rows = await connection.fetch(
        """update servicekit.relay_halt set cleared_at = clock_timestamp(), cleared_by = $1
           where cleared_at is null returning 1""",
        operator,
    )
    return len(rows)
