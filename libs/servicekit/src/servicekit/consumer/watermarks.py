"""Watermarks as a projection keeps them: the newest that is known of each shard, and the newest that it has come to.

The lag of a projection is measured against them where its topic has any, and against the topic's end where it has none:
that end says nothing of what is not published yet.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from contracts.watermarks import Watermark
from servicekit.postgres import Connection

PER_SHARD_MAX: Final = 64
"""Watermarks of a shard that wait to be covered; of more, every second one is dropped: minutes are told less finely."""
TRANSACTION_BOUND: Final = timedelta(seconds=20)
"""What is not visible at an instant occurred within this before it, or will: the database ends a transaction after
15 s, and 5 s are for clocks that are read one after the other and for a look that waits for a standby."""


class Reached(NamedTuple):
    """A shard's sequences up to *seq* are all that was visible at *read_at*."""

    seq: int
    read_at: datetime


class Kept(NamedTuple):
    """Of a shard: the newest watermark that is *known*, and the newest *covered* by what is applied, if any is."""

    shard: int
    known: Reached
    covered: Reached | None


class Watermarks:
    """What a topic of watermarks has said of each shard, as far as it may still be needed. Pure.

    The last word counts, also where it is behind one before: a clock was set back, or the journal restored.
    """

    def __init__(self) -> None:
        self._said: dict[int, list[Reached]] = {}

    def note(self, watermark: Watermark) -> None:
        """Take in the next record of the topic."""
        said = self._said.setdefault(watermark.shard, [])
        reached = Reached(watermark.seq, watermark.read_at)
        if said and said[-1].seq == reached.seq:
            said[-1] = reached
            return
        said.append(reached)
        if len(said) > PER_SHARD_MAX:
            # The first may be what is covered, and the last is what is known.
            del said[1:-1:2]

    def keep(self, applied: Mapping[int, int], shards: Collection[int]) -> list[Kept]:
        """Return what is to be kept of *shards*, of which *applied* has the last sequence; none has nothing.

        What came before the newest that is covered is forgotten.
        """
        kept = []
        for shard in sorted(self._said.keys() & set(shards)):
            said, last_seq = self._said[shard], applied.get(shard, 0)
            at = next((at for at in reversed(range(len(said))) if said[at].seq <= last_seq), None)
            if at is not None:
                del said[:at]
            kept.append(Kept(shard, said[-1], None if at is None else said[0]))
        return kept


async def store(connection: Connection, projection: str, kept: Sequence[Kept]) -> None:
    """Write *kept*, for readers; what was covered before stays where nothing newer is."""
    await connection.execute(
        """insert into servicekit.watermark (projection, shard, known_seq, known_at, covered_seq, covered_at)
           select $1, n.* from unnest($2::smallint[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::timestamptz[])
               as n (shard, known_seq, known_at, covered_seq, covered_at)
           order by shard
           on conflict (projection, shard) do update
               set known_seq = excluded.known_seq, known_at = excluded.known_at,
                   covered_seq = coalesce(excluded.covered_seq, watermark.covered_seq),
                   covered_at = coalesce(excluded.covered_at, watermark.covered_at)""",
        projection,
        [each.shard for each in kept],
        [each.known.seq for each in kept],
        [each.known.read_at for each in kept],
        [None if each.covered is None else each.covered.seq for each in kept],
        [None if each.covered is None else each.covered.read_at for each in kept],
    )


def complete_until(reads: Collection[datetime | None]) -> datetime | None:
    """Return up to when shards are complete that are covered as of *reads*; None where one is as of none."""
    known = [read_at for read_at in reads if read_at is not None]
    return min(known) - TRANSACTION_BOUND if known and len(known) == len(reads) else None
