"""One poll, one transaction: lock the checkpoints, apply what is new, move the checkpoints, commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from servicekit.clock import monotonic_s
from servicekit.consumer import checkpoints
from servicekit.consumer.applying import Applier, Poisoned
from servicekit.consumer.metrics import ConsumerMetrics
from servicekit.consumer.projection import Projection
from servicekit.consumer.records import Received
from servicekit.consumer.sequencing import Checkpoint, Sequenced, Stop, sequence
from servicekit.postgres import Pool

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LookAgain:
    """A gap was met in *shard*: its *partition* is to be read again from *offset*, once."""

    shard: int
    partition: int
    offset: int


class Processor:
    """Processes polls of one projection. It remembers only which gaps it has looked at again.

    *fresh* is how many records of the last poll were new.
    """

    def __init__(self, projection: Projection, pool: Pool, metrics: ConsumerMetrics) -> None:
        self._projection = projection
        self._pool = pool
        self._metrics = metrics
        self.fresh = 0
        self._looked: dict[int, int] = {}  # shard to the sequence before the gap that was looked at again
        self._stopped: dict[int, Stop] = {}

    async def process(self, received: Sequence[Received]) -> list[LookAgain]:
        """Apply what is new among *received* and commit; return the gaps to be looked at again.

        Raises OperationalError, and then nothing happened, or all of it did: the poll can be processed again.
        """
        try:
            return await self._process(received, carefully=False)
        except Poisoned:
            return await self._process(received, carefully=True)

    async def _process(self, received: Sequence[Received], *, carefully: bool) -> list[LookAgain]:
        began_s = monotonic_s()
        partitions = {record.shard: record.partition for record in received}
        async with self._pool.transaction() as tx:
            held = await checkpoints.lock(tx, self._projection.name, partitions)
            before = {shard: checkpoint.stopped for shard, checkpoint in held.items()}
            sequenced = sequence(held, received)
            applier = Applier(tx, self._projection, carefully=carefully)
            if sequenced.fresh:
                await applier.apply(sequenced.fresh)
            again = self._stop_at_gaps(held, sequenced)
            changed = [
                checkpoint
                for shard, checkpoint in held.items()
                if shard in sequenced.moved or checkpoint.stopped is not before[shard]
            ]
            if changed:
                await checkpoints.store(tx, self._projection.name, changed)
        # Only what is committed is remembered and reported.
        self._looked.update({look.shard: held[look.shard].last_seq for look in again})
        self.fresh = len(sequenced.fresh)
        self._report(held, sequenced)
        self._metrics.polled(applied=applier.applied, skipped=sequenced.skipped, seconds=monotonic_s() - began_s)
        return again

    @property
    def stopped(self) -> Mapping[int, Stop]:
        """The stopped shards, as far as this process has seen."""
        return self._stopped

    def forget_stops(self) -> None:
        """Look at every gap once more: an operator has asked for a partition to be read again."""
        self._looked.clear()
        self._stopped.clear()

    def _stop_at_gaps(self, held: Mapping[int, Checkpoint], sequenced: Sequenced) -> list[LookAgain]:
        """Stop the shards whose gap stayed; return those that have not been looked at again yet.

        Where a shard is read again from before its checkpoint, nothing was passed over, and there is nothing to go back
        for: what it misses stands behind, and from there it goes on by itself.
        """
        again = []
        for shard in sorted(sequenced.gaps):
            checkpoint = held[shard]
            is_before_checkpoint = sequenced.gaps[shard] < checkpoint.offset
            if is_before_checkpoint or self._looked.get(shard) == checkpoint.last_seq:
                checkpoint.stopped = Stop.GAP
            elif checkpoint.stopped is None:
                again.append(LookAgain(shard, checkpoint.partition, checkpoint.offset))
        return again

    def _report(self, held: Mapping[int, Checkpoint], sequenced: Sequenced) -> None:
        for shard, checkpoint in held.items():
            stopped = self._stopped.get(shard)
            if checkpoint.stopped is None:
                self._stopped.pop(shard, None)
            elif checkpoint.stopped is not stopped:
                self._stopped[shard] = checkpoint.stopped
                _log.error(
                    "consumer.shard_stopped",
                    projection=self._projection.name,
                    shard=shard,
                    reason=checkpoint.stopped.value,
                    last_seq=checkpoint.last_seq,
                )
            if shard in sequenced.moved:
                self._metrics.checkpoint(shard, checkpoint.last_seq)
        if sequenced.gaps:
            self._metrics.gaps_met(len(sequenced.gaps))
        self._metrics.stopped({reason: list(self._stopped.values()).count(reason) for reason in Stop})
