"""Parked subjects: an event that cannot be applied, and what came after it for the same subject, wait in the topic.

A subject is whom events are about, a wallet or an endpoint. Only its place is kept, so that a hot one costs a row.
Beyond a number of subjects the consumer ends instead of parking more, for then not single events are broken but the
projection.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from servicekit.consumer.records import Received
from servicekit.postgres import Connection, Transaction

SUBJECTS_MAX: Final = 1_000
REASON_CHARACTERS_MAX: Final = 500


class ParkingFull(Exception):
    """More would be parked than the bounds allow: the projection itself is broken. Nothing was lost."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parked subject's events begin: with sequence *seq* of *shard*, none of them before *offset*."""

    shard: int
    seq: int
    offset: int


async def parked_among(tx: Transaction, projection: str, subjects: Collection[UUID]) -> set[UUID]:
    """Return those of *subjects* that are parked."""
    rows = await tx.connection.fetch(
        "select subject from servicekit.parked_subject where projection = $1 and subject = any ($2::uuid[])",
        projection,
        list(subjects),
    )
    return {row["subject"] for row in rows}


async def park_subject(tx: Transaction, projection: str, failed: Received, reason: str) -> None:
    """Park the subject of *failed*, its first event; raise ParkingFull beyond the bound."""
    count = await tx.connection.fetchval(
        "select count(*) from servicekit.parked_subject where projection = $1", projection
    )
    if count >= SUBJECTS_MAX:
        raise ParkingFull(f"{count} subjects are parked already")
    await tx.connection.execute(
        """insert into servicekit.parked_subject (projection, subject, shard, seq, reason, kafka_offset, events)
           values ($1, $2, $3, $4, $5, $6, 1)""",
        projection,
        failed.subject,
        failed.shard,
        failed.sequence,
        _storable(reason),
        failed.offset,
    )


async def hold_back(tx: Transaction, projection: str, received: Sequence[Received]) -> None:
    """Count *received*, of parked subjects: they stay where they are in the topic."""
    counts = Counter(record.subject for record in received)
    # Mostly behind the place that is kept; where lost records were brought back, they may be before it.
    offsets = {record.subject: record.offset for record in sorted(received, key=lambda record: -record.offset)}
    await tx.connection.execute(
        """update servicekit.parked_subject as p
           set events = p.events + n.events, kafka_offset = least(p.kafka_offset, n.kafka_offset)
           from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as n (subject, events, kafka_offset)
           where p.projection = $1 and p.subject = n.subject""",
        projection,
        list(counts),
        list(counts.values()),
        [offsets[subject] for subject in counts],
    )


async def place_of(connection: Connection, projection: str, subject: UUID) -> Place | None:
    """Return where the subject's events begin, None if it is not parked."""
    row = await connection.fetchrow(
        """select shard, seq, kafka_offset from servicekit.parked_subject
           where projection = $1 and subject = $2""",
        projection,
        subject,
    )
    return None if row is None else Place(row["shard"], row["seq"], row["kafka_offset"])


async def move_place(tx: Transaction, projection: str, subject: UUID, seq: int, applied: int) -> None:
    """Note that *applied* of the subject's events are, and that the next one is at *seq* or later."""
    await tx.connection.execute(
        """update servicekit.parked_subject set seq = $3, events = greatest(0, events - $4)
           where projection = $1 and subject = $2""",
        projection,
        subject,
        seq,
        applied,
    )


async def forget(tx: Transaction, projection: str, subject: UUID) -> None:
    """Unpark the subject: all its events are applied."""
    await tx.connection.execute(
        "delete from servicekit.parked_subject where projection = $1 and subject = $2", projection, subject
    )


async def is_parked(connection: Connection, projection: str, subjects: Sequence[UUID]) -> bool:
    """Return whether one of *subjects* is parked: a read that touches it says so."""
    found = await connection.fetchval(
        """select exists (select from servicekit.parked_subject
                          where projection = $1 and subject = any ($2::uuid[]))""",
        projection,
        subjects,
    )
    return bool(found)


async def parked_subject_count(connection: Connection, projection: str) -> int:
    """Return how many subjects are parked."""
    count: int = await connection.fetchval(
        "select count(*) from servicekit.parked_subject where projection = $1", projection
    )
    return count


def _storable(reason: str) -> str:
    """Return *reason* as the database takes it, whatever a record has put into it."""
    return reason[:REASON_CHARACTERS_MAX].replace("\0", "").encode(errors="replace").decode()
