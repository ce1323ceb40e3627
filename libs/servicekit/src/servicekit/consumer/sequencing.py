"""Which records of a poll are new, which were seen, and where something is missing. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from servicekit.consumer.records import Received


class Stop(StrEnum):
    """Why a shard is stopped while the others go on."""

    GAP = "gap"
    """Sequences are missing from the topic. The shard goes on by itself when they come."""
    DIVERGED = "diverged"
    """A sequence came with another event id: a journal was restored behind this projection. An operator decides."""


@dataclass(slots=True)
class Checkpoint:
    """How far a projection has come in a shard. *offset* is where the record after *last_seq* is looked for."""

    shard: int
    last_seq: int
    last_event_id: UUID | None
    partition: int
    offset: int
    stopped: Stop | None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Records of a shard that were read beyond a gap and not applied.

    Their sequences are among *first* to *last*, and the lowest of their offsets in *partition* is *offset*.
    """

    first: int
    last: int
    partition: int
    offset: int

    def joined(self, other: "PassedOver") -> "PassedOver":
        """Return both as one; *other* alone where a shard has come to another partition."""
        if other.partition != self.partition:
            return other
        return PassedOver(
            min(self.first, other.first),
            max(self.last, other.last),
            self.partition,
            min(self.offset, other.offset),
        )


@dataclass(slots=True)
class Sequenced:
    """What to do with a poll: *fresh* records are applied in this order.

    The shards in *gaps* miss something; each has the offset of the first record beyond what it misses. *passed* is what
    was not applied for that reason, also where the shard went on later in the poll.
    """

    fresh: list[Received] = field(default_factory=list)
    skipped: int = 0
    gaps: dict[int, int] = field(default_factory=dict)
    passed: dict[int, PassedOver] = field(default_factory=dict)
    diverged: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)


def sequence(checkpoints: Mapping[int, Checkpoint], received: Iterable[Received]) -> Sequenced:
    """Return what to do with *received*, and move *checkpoints* over the fresh records."""
    sequenced = Sequenced()
    for record in received:
        checkpoint = checkpoints[record.shard]
        if checkpoint.stopped is Stop.DIVERGED:
            continue
        if record.sequence == checkpoint.last_seq + 1:
            _advance(checkpoint, record, sequenced)
        elif record.sequence > checkpoint.last_seq:
            sequenced.gaps.setdefault(record.shard, record.offset)
            _pass_over(sequenced.passed, record)
        elif _differs(checkpoint, record):
            checkpoint.stopped = Stop.DIVERGED
            sequenced.diverged.add(record.shard)
        else:
            sequenced.skipped += 1
    for shard in sequenced.diverged:
        sequenced.gaps.pop(shard, None)
    return sequenced


def _pass_over(passed: dict[int, PassedOver], record: Received) -> None:
    this = PassedOver(record.sequence, record.sequence, record.partition, record.offset)
    known = passed.get(record.shard)
    passed[record.shard] = this if known is None else known.joined(this)


def _advance(checkpoint: Checkpoint, record: Received, sequenced: Sequenced) -> None:
    checkpoint.last_seq = record.sequence
    checkpoint.last_event_id = record.event_id
    checkpoint.partition = record.partition
    checkpoint.offset = record.offset + 1
    checkpoint.stopped = None
    sequenced.fresh.append(record)
    sequenced.moved.add(record.shard)
    sequenced.gaps.pop(record.shard, None)


def _differs(checkpoint: Checkpoint, record: Received) -> bool:
    known = checkpoint.last_event_id
    return record.sequence == checkpoint.last_seq and known is not None and record.event_id != known
