"""What a consumer does at a gap: look again, stop, and go back to what it passed over once the gap closes. Pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from servicekit.consumer.sequencing import Checkpoint, PassedOver, Sequenced, Stop


@dataclass(frozen=True, slots=True)
class LookAgain:
    """A gap was met in *shard*, or closed: its *partition* is to be read again from *offset*, once."""

    shard: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Where to read *again* after a poll, and what is remembered of it once it is committed."""

    again: list[LookAgain]
    looked: dict[int, int]
    passed: dict[int, PassedOver]


class Gaps:
    """Remembers the gaps of one projection while its process lives; what it forgets, a rewind makes up for.

    A gap is looked at again once. If it stays, its shard stops, and what closes it stands behind what is passed over
    meanwhile: that is read again when the shard has come to it. So one reading applies all that is in a topic, in
    whatever order it stands there, as long as nothing of a shard is missing.
    """

    def __init__(self) -> None:
        self._looked: dict[int, int] = {}  # shard to the sequence before the gap that was looked at again
        self._passed: dict[int, PassedOver] = {}

    def decide(self, held: Mapping[int, Checkpoint], sequenced: Sequenced) -> Decision:
        """Return what to do after a poll that came to *sequenced*; stop the shards of *held* whose gap stayed."""
        passed = self._with_passed(sequenced)
        behind = _take_behind(held, sequenced, passed)
        open_gaps = sequenced.gaps.keys() - {look.shard for look in behind}
        looks = self._looks(held, sequenced, open_gaps)
        looked = {look.shard: held[look.shard].last_seq for look in looks}
        return Decision([*behind, *looks], looked, passed)

    def remember(self, decision: Decision) -> None:
        """Remember *decision*: its poll is committed, and what it asks for is read next."""
        self._looked.update(decision.looked)
        self._passed = decision.passed
        for look in decision.again:
            self._will_come_again(look.partition, look.offset)

    def rewound(self, seeks: Mapping[int, int]) -> None:
        """Look at every gap once more: operators have partitions read again, each from its offset in *seeks*."""
        self._looked.clear()
        for partition, offset in seeks.items():
            self._will_come_again(partition, offset)

    def _looks(self, held: Mapping[int, Checkpoint], sequenced: Sequenced, gaps: AbstractSet[int]) -> list[LookAgain]:
        """Stop the shards whose gap stayed; return those that have not been looked at again yet.

        Where a shard is read again from before its checkpoint, there is nothing to go back for: what it misses comes
        later, if at all.
        """
        looks = []
        for shard in sorted(gaps):
            checkpoint = held[shard]
            is_before_checkpoint = sequenced.gaps[shard] < checkpoint.offset
            if is_before_checkpoint or self._looked.get(shard) == checkpoint.last_seq:
                checkpoint.stopped = Stop.GAP
            elif checkpoint.stopped is None:
                looks.append(LookAgain(shard, checkpoint.partition, checkpoint.offset))
        return looks

    def _with_passed(self, sequenced: Sequenced) -> dict[int, PassedOver]:
        passed = dict(self._passed)
        for shard, more in sequenced.passed.items():
            known = passed.get(shard)
            passed[shard] = more if known is None else known.joined(more)
        return passed

    def _will_come_again(self, partition: int, offset: int) -> None:
        """Forget what was passed over from *offset* on: it is read again."""
        self._passed = {
            shard: passed
            for shard, passed in self._passed.items()
            if passed.partition != partition or passed.offset < offset
        }


def _take_behind(
    held: Mapping[int, Checkpoint], sequenced: Sequenced, passed: dict[int, PassedOver]
) -> list[LookAgain]:
    """Take from *passed* the shards that have come to what they passed over; return those whose next event is there."""
    behind = []
    for shard in sorted(sequenced.moved & passed.keys()):
        over, following = passed[shard], held[shard].last_seq + 1
        if following < over.first:
            continue
        del passed[shard]
        if following <= over.last:
            behind.append(LookAgain(shard, over.partition, over.offset))
    return behind
