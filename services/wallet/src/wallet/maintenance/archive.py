"""Which journal partition may be archived: one that nobody has to read forward any more."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple


class ArchiveError(Exception):
    """The partition stays as it is; the message says why."""


class ShardState(NamedTuple):
    """How far a shard is: the last sequence written, published by the relay, and folded into the totals."""

    shard: int
    head: int
    published: int
    folded: int


@dataclass(frozen=True, slots=True)
class Partition:
    """The sequences *first_seq* up to, and without, *end_seq* of every shard."""

    number: int
    first_seq: int
    end_seq: int

    @property
    def last_seq(self) -> int:
        """The last sequence that belongs into it."""
        return self.end_seq - 1

    def later(self, partitions: int) -> "Partition":
        """Return the one that comes so many *partitions* after this."""
        width = self.end_seq - self.first_seq
        first_seq = self.first_seq + partitions * width
        return Partition(self.number + partitions, first_seq, first_seq + width)


KEEP: Final = 4
"""How many complete partitions stay attached, unless an operator says otherwise."""


def archivable(oldest: Partition, states: Iterable[ShardState], *, keep: int = KEEP) -> int:
    """Return how many partitions may be archived one after another, *oldest* being the first that is attached."""
    shards = list(states)
    width = oldest.end_seq - oldest.first_seq
    complete = (min(shard.head for shard in shards) + 1 - oldest.first_seq) // width
    settled = (min(min(shard.published, shard.folded) for shard in shards) + 1 - oldest.first_seq) // width
    return max(0, min(complete - keep, settled))


def why_kept(partition: Partition, states: Iterable[ShardState], *, keep: int) -> str | None:
    """Return why *partition*, the oldest one attached, stays attached; None if it may be archived.

    *keep* is how many complete partitions stay, those behind the ones still written.
    """
    shards = list(states)
    width = partition.end_seq - partition.first_seq
    slowest = min(shards, key=attrgetter("head"))
    if slowest.head < partition.last_seq:
        return f"shard {slowest.shard} is at {slowest.head}: it has yet to write up to {partition.last_seq}"
    complete = (slowest.head + 1 - partition.first_seq) // width
    if complete <= keep:
        return f"{complete} complete partitions are attached, and {keep} are kept"
    least = min(shards, key=attrgetter("published"))
    if least.published < partition.last_seq:
        return f"shard {least.shard} is published up to {least.published} only"
    least = min(shards, key=attrgetter("folded"))
    if least.folded < partition.last_seq:
        return f"the system accounts of shard {least.shard} are folded up to {least.folded} only"
    return None
