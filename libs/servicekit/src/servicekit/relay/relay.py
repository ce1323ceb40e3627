"""The relay's loop: read, publish, wait for every acknowledgement, move the cursors.

One task does it all, in order, so that nothing is published on a lease that was not renewed just before.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import structlog

from contracts.envelope import Envelope
from contracts.ids import new_id_text, partition_of
from servicekit.clock import monotonic_s
from servicekit.failures import OperationalError
from servicekit.postgres import Connection, Pool
from servicekit.process import Shutdown
from servicekit.relay import halts
from servicekit.relay.errors import LeasesLost, TopicAhead
from servicekit.relay.journal import JournalReader
from servicekit.relay.leases import Leases, Move
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.publisher import Publisher, PublishError
from servicekit.relay.topic_end import read_topic_ends

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """How a relay runs. *owner* tells operators which instance holds a lease."""

    owner: str
    bootstrap_servers: str
    topic: str
    lease_s: float = 10.0
    move_every_s: float = 0.25
    rows_per_shard_max: int = 1_000
    rows_per_read_max: int = 16_384
    idle_s_min: float = 0.002
    idle_s_max: float = 0.050
    backoff_s_min: float = 0.1
    backoff_s_max: float = 2.0
    measure_every_s: float = 1.0

    @property
    def renew_every_s(self) -> float:
        """How often leases are renewed: this and a send's deadline together are shorter than a lease."""
        return self.lease_s / 4

    @property
    def send_timeout_s(self) -> float:
        """The deadline of a send."""
        return self.lease_s / 2


@dataclass(slots=True)
class _Shard:
    epoch: int
    stored: int  # the cursor in the database
    published: int  # the highest acknowledged sequence


class Relay:
    """Publishes what follows the cursors of the shards it has leased, until it is told to stop."""

    def __init__(
        self,
        settings: RelaySettings,
        *,
        pool: Pool,
        journal: JournalReader,
        publisher: Publisher,
        metrics: RelayMetrics,
        jitter: random.Random,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._journal = journal
        self._publisher = publisher
        self._metrics = metrics
        self._jitter = jitter
        # An instance is never taken for one that ran before it under the same name.
        self._leases = Leases(owner=f"{settings.owner}#{new_id_text()}", lease_s=settings.lease_s)
        self._shards: dict[int, _Shard] = {}
        self._stopped: set[int] = set()
        self._renewed_s = float("-inf")
        self._moved_s = float("-inf")
        self._measured_s = float("-inf")

    async def run(self, shutdown: Shutdown) -> None:
        """Publish until the end is requested, then move the cursors and free the leases.

        A broker or a database that is away is waited for, for ever. Raises LeasesLost and TopicAhead.
        """
        idle_s, failures = self._settings.idle_s_min, 0
        try:
            while not shutdown.is_requested:
                try:
                    published = await self._cycle()
                except (PublishError, OperationalError) as error:
                    failures += 1
                    await self._after_failure(error, failures, shutdown)
                    continue
                failures = 0
                idle_s = self._settings.idle_s_min if published else min(idle_s * 2, self._settings.idle_s_max)
                if not published:
                    await shutdown.sleep(idle_s)
        finally:
            await self._publisher.close()
        await self._hand_over()

    async def _cycle(self) -> int:
        """Run one round; return how many records were published."""
        # First, because the lag is to grow where leases cannot be taken for want of a broker.
        if self._is_due(self._measured_s, self._settings.measure_every_s):
            await self._measure()
        if self._is_due(self._renewed_s, self._settings.renew_every_s):
            await self._keep_leases()
        events = await self._read()
        published = await self._publish(events) if events else 0
        if self._is_due(self._moved_s, self._settings.move_every_s):
            await self._move_cursors()
        return published

    def _is_due(self, last_s: float, every_s: float) -> bool:
        return monotonic_s() - last_s >= every_s

    # -- leases

    async def _keep_leases(self) -> None:
        """Renew, drop what was lost, hand over what is beyond the fair share, take what is free."""
        stood_still = self._is_due(self._renewed_s, self._settings.lease_s)
        asked_s = monotonic_s()
        async with self._pool.connection() as connection:
            renewal = await self._leases.renew(connection)
            await self._refuse_while_halted(connection)
        self._renewed_s = asked_s
        lost = {shard for shard, held in self._shards.items() if renewal.epochs.get(shard) != held.epoch}
        self._drop(lost, stood_still=stood_still)
        await self._free_unheld(renewal.epochs)
        excess = len(self._shards) - renewal.fair_share
        if excess > 0:
            await self._release(sorted(self._shards)[-excess:])
        elif excess < 0:
            await self._acquire(-excess)
        self._metrics.leases_held(len(self._shards))

    def _drop(self, lost: set[int], *, stood_still: bool) -> None:
        if not lost:
            return
        for shard in lost:
            del self._shards[shard]
        self._stopped -= lost
        self._metrics.leases_lost(len(lost))
        self._metrics.leases_held(len(self._shards))
        _log.warning("relay.leases_lost", shards=sorted(lost))
        if stood_still:
            raise LeasesLost(f"stood still beyond {self._settings.lease_s} s and lost {len(lost)} shards")

    async def _free_unheld(self, epochs: Mapping[int, int]) -> None:
        """Free the leases that are ours by the table alone, or nobody would publish their shards.

        A crash of the database took the move of a cursor back, so that the next one found another cursor and the shard
        was dropped; or the answer to an acquisition was lost. Who takes them begins at the stored cursor.
        """
        unheld = {shard: epoch for shard, epoch in epochs.items() if shard not in self._shards}
        if unheld:
            async with self._pool.connection() as connection:
                await self._leases.release(connection, unheld)

    async def _acquire(self, shards_max: int) -> None:
        async with self._pool.connection() as connection:
            leases = await self._leases.acquire(connection, shards_max)
        if not leases:
            return
        try:
            await self._require_journal([lease.shard for lease in leases])
        except (PublishError, OperationalError, TopicAhead):
            # Not compared, so not published: free them for whoever can.
            async with self._pool.connection() as connection:
                await self._leases.release(connection, {lease.shard: lease.epoch for lease in leases})
            raise
        for lease in leases:
            self._shards[lease.shard] = _Shard(lease.epoch, lease.cursor, lease.cursor)
        _log.info("relay.leases_acquired", shards=[lease.shard for lease in leases])

    async def _require_journal(self, shards: Sequence[int]) -> None:
        """Raise TopicAhead where the topic ends with a record that the journal lacks."""
        count = await self._publisher.partitions()
        partitions = {partition_of(shard, count) for shard in shards}
        ends = await read_topic_ends(self._settings.bootstrap_servers, self._settings.topic, partitions)
        async with self._pool.transaction() as tx:
            known = await self._journal.event_ids(tx.connection, [(end.shard, end.sequence) for end in ends])
            lacking = [end for end in ends if known.get((end.shard, end.sequence)) != end.event_id]
            for end in lacking:
                await halts.record(tx.connection, end)
        async with self._pool.connection() as connection:
            await self._refuse_while_halted(connection)

    async def _refuse_while_halted(self, connection: Connection) -> None:
        halted = await halts.active(connection)
        self._metrics.halted(is_halted=bool(halted))
        if halted:
            first = halted[0]
            _log.critical("relay.halted", partitions=len(halted))
            raise TopicAhead(f"the journal lacks {first.topic}-{first.partition}@{first.offset}: restored behind it")

    async def _release(self, shards: Sequence[int]) -> None:
        await self._move_cursors()
        epochs = {shard: self._shards.pop(shard).epoch for shard in shards if shard in self._shards}
        self._stopped -= set(epochs)
        async with self._pool.connection() as connection:
            await self._leases.release(connection, epochs)

    async def _hand_over(self) -> None:
        """Leave in order: cursors moved, leases free for the next one at once."""
        try:
            await self._release(list(self._shards))
            async with self._pool.connection() as connection:
                await self._leases.leave(connection)
        except OperationalError as error:
            _log.warning("relay.hand_over_failed", error=error.detail)
        self._metrics.leases_held(0)

    # -- records

    async def _read(self) -> list[Envelope]:
        cursors = {shard: held.published for shard, held in self._shards.items() if shard not in self._stopped}
        if not cursors:
            return []
        rows = min(self._settings.rows_per_shard_max, max(1, self._settings.rows_per_read_max // len(cursors)))
        async with self._pool.connection() as connection:
            events = await self._journal.read(connection, cursors, rows)
        return [event for _, run in groupby(events, attrgetter("shard")) for event in self._dense(list(run))]

    def _dense(self, run: list[Envelope]) -> list[Envelope]:
        """Return *run*, one shard's, up to its first gap, at which the shard stops."""
        shard = run[0].shard
        expected = self._shards[shard].published + 1
        # Ascending and distinct, so the ends tell whether anything is missing in between.
        if run[0].sequence == expected and run[-1].sequence == expected + len(run) - 1:
            return run
        dense = [event for number, event in enumerate(run, expected) if event.sequence == number]
        self._stopped.add(shard)
        self._metrics.shards_stopped(len(self._stopped))
        missing = expected + len(dense)
        _log.critical("relay.gap", shard=shard, missing_seq=missing)
        return dense

    async def _publish(self, events: Sequence[Envelope]) -> int:
        began_s = monotonic_s()
        if began_s + self._settings.send_timeout_s > self._renewed_s + self._settings.lease_s:
            await self._keep_leases()  # reading took long: what was read may belong to others by now
            return 0
        await self._publisher.publish(events, timeout_s=self._settings.send_timeout_s)
        for event in events:
            self._shards[event.shard].published = event.sequence
        self._metrics.published(len(events), monotonic_s() - began_s)
        return len(events)

    async def _move_cursors(self) -> None:
        moves = [
            Move(shard, held.epoch, held.stored, held.published)
            for shard, held in self._shards.items()
            if held.published > held.stored
        ]
        self._moved_s = monotonic_s()
        if not moves:
            return
        stood_still = self._is_due(self._renewed_s, self._settings.lease_s)
        async with self._pool.connection() as connection:
            moved = await self._leases.move(connection, moves)
        for move in moves:
            if move.shard in moved:
                self._shards[move.shard].stored = move.after
        self._drop({move.shard for move in moves} - moved, stood_still=stood_still)

    async def _measure(self) -> None:
        cursors = {shard: held.published for shard, held in self._shards.items()}
        async with self._pool.connection() as connection:
            # What nobody publishes counts too: with the broker away from the start, no relay owns anything.
            cursors = {**await self._leases.unowned(connection), **cursors}
            rows, seconds = await self._journal.backlog(connection, cursors)
        self._measured_s = monotonic_s()
        self._metrics.lag(rows, seconds)

    async def _after_failure(self, error: PublishError | OperationalError, failures: int, shutdown: Shutdown) -> None:
        """Wait with jitter; the next round reads again behind what was acknowledged."""
        name = error.kind if isinstance(error, PublishError) else type(error).__name__
        self._metrics.publish_failed(name)
        backoff_s = min(self._settings.backoff_s_max, self._settings.backoff_s_min * 2 ** min(failures, 10))
        _log.warning("relay.round_failed", error=name, failures=failures)
        await shutdown.sleep(backoff_s * self._jitter.uniform(0.5, 1.0))
