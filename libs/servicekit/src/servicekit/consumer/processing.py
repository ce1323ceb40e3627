"""One poll, one transaction: lock the checkpoints, apply what is new, move the checkpoints, commit."""

from collections.abc import Mapping, Sequence

import structlog

from servicekit.clock import monotonic_s
from servicekit.consumer import checkpoints
from servicekit.consumer.applying import Applier, Poisoned
from servicekit.consumer.gaps import Gaps, LookAgain
from servicekit.consumer.metrics import ConsumerMetrics
from servicekit.consumer.projection import Projection
from servicekit.consumer.records import Received
from servicekit.consumer.sequencing import Checkpoint, Sequenced, Stop, sequence
from servicekit.postgres import Pool

_log = structlog.get_logger(__name__)


class Processor:
    """Processes polls of one projection. It remembers only the gaps that it has met.

    *fresh* is how many records of the last poll were new.
    """

    def __init__(self, projection: Projection, pool: Pool, metrics: ConsumerMetrics) -> None:
        self._projection = projection
        self._pool = pool
        self._metrics = metrics
        self.fresh = 0
        self._gaps = Gaps()
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
            decision = self._gaps.decide(held, sequenced)
            changed = [
                checkpoint
                for shard, checkpoint in held.items()
                if shard in sequenced.moved or checkpoint.stopped is not before[shard]
            ]
            if changed:
                await checkpoints.store(tx, self._projection.name, changed)
        # Only what is committed is remembered and reported.
        self._gaps.remember(decision)
        self.fresh = len(sequenced.fresh)
        self._report(held, sequenced)
        self._metrics.polled(applied=applier.applied, skipped=sequenced.skipped, seconds=monotonic_s() - began_s)
        if applier.applied:
            self._metrics.visible(record.event.time for record in sequenced.fresh if record.event is not None)
        return decision.again

    @property
    def stopped(self) -> Mapping[int, Stop]:
        """The stopped shards, as far as this process has seen."""
        return self._stopped

    def rewound(self, seeks: Mapping[int, int]) -> None:
        """Look at every gap once more: operators have partitions read again, each from its offset in *seeks*."""
        self._gaps.rewound(seeks)
        self._stopped.clear()

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
