"""What a relay knows of the shards it holds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import structlog

from contracts.envelope import Envelope
from servicekit.relay.leases import Renewal
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.publisher import Sending

_log = structlog.get_logger(__name__)

OFFSET_UNKNOWN: Final = -1


class Mark(NamedTuple):
    """A published record: its *event_id* and *offset* are None and OFFSET_UNKNOWN where this process knows neither."""

    sequence: int
    event_id: UUID | None = None
    offset: int = OFFSET_UNKNOWN


class Seen(NamedTuple):
    """All that the database showed of a shard at *read_at*: the sequences up to *sequence*."""

    sequence: int
    read_at: datetime


@dataclass(slots=True)
class HeldShard:
    """A shard this process publishes, from its cursor in the database, *stored*, on.

    *published* is what was last acknowledged, *seen* the last look that no bound cut off.
    """

    epoch: int
    stored: Mark
    published: Mark = field(init=False)
    seen: Seen | None = None

    def __post_init__(self) -> None:
        """Begin at the cursor."""
        self.published = self.stored

    @property
    def marks(self) -> set[Mark]:
        """The records that the journal must have, with their ids."""
        return {mark for mark in (self.stored, self.published) if mark.event_id is not None}


class HeldShards(dict[int, HeldShard]):
    """The shards this process publishes, by number; *stopped* are those stopped at a gap."""

    def __init__(self, metrics: RelayMetrics) -> None:
        super().__init__()
        self.stopped: set[int] = set()
        self._metrics = metrics

    def lost(self, renewal: Renewal) -> set[int]:
        """Return the shards that others own, or whose cursor is no longer where this process has put it."""
        lost = set()
        for shard, held in self.items():
            cursor = renewal.cursors.get(shard, held.stored.sequence)
            if held.stored.sequence < cursor <= held.published.sequence:
                held.stored = Mark(cursor)  # our own move, whose answer was lost
            if renewal.epochs.get(shard) != held.epoch or cursor != held.stored.sequence:
                lost.add(shard)
        return lost

    def give_up(self, shards: Collection[int]) -> dict[int, int]:
        """Hold *shards* no longer; return the epochs of those that were held."""
        self.stopped -= set(shards)
        return {shard: self.pop(shard).epoch for shard in shards if shard in self}

    def moving(self) -> dict[int, HeldShard]:
        """Return the shards whose cursor in the database is behind what was published."""
        return {shard: held for shard, held in self.items() if held.published.sequence > held.stored.sequence}

    def dense(self, run: list[Envelope]) -> Sequence[Envelope]:
        """Return *run*, one shard's, up to its first gap, at which the shard stops."""
        shard = run[0].shard
        expected = self[shard].published.sequence + 1
        # Ascending and distinct, so the ends show whether anything is missing in between.
        if run[0].sequence == expected and run[-1].sequence == expected + len(run) - 1:
            return run
        dense = [event for number, event in enumerate(run, expected) if event.sequence == number]
        self.stopped.add(shard)
        self._metrics.shards_stopped(len(self.stopped))
        missing = expected + len(dense)
        _log.error("relay.gap", shard=shard, missing_seq=missing)
        return dense

    def acknowledge(self, sending: Sending) -> None:
        """Remember the last record of each shard that *sending* has published."""
        last = {event.shard: index for index, event in enumerate(sending.published)}
        for shard, index in last.items():
            event, held = sending.events[index], self.get(shard)
            # A shard that was dropped meanwhile, and perhaps taken again, begins at its cursor.
            if held is not None and held.published.sequence < event.sequence:
                held.published = Mark(event.sequence, event.event_id, sending.offset_of(index))
