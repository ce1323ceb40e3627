"""The relay's loop: read, publish, wait for every acknowledgement, move the cursors.

One task does it all, in order, so that nothing is published on a lease that was not renewed just before. Only a
partition that cannot be written is tried beside it: its shards wait, the others do not.
"""

import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from operator import attrgetter
from typing import Final

import structlog

from contracts.envelope import Envelope
from contracts.ids import SHARDS, new_id_text, partition_of
from servicekit.clock import monotonic_s
from servicekit.failures import OperationalError
from servicekit.health import Check
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Connection, Pool
from servicekit.relay.comparing import Comparison
from servicekit.relay.errors import LeasesLost, TopicAhead
from servicekit.relay.halts import TopicEnd
from servicekit.relay.holds import Holds
from servicekit.relay.journal import SqlJournal
from servicekit.relay.leases import Lease, Leases, Move
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.publisher import Publisher, PublishError, Sending
from servicekit.relay.reading import ReadSize
from servicekit.relay.settings import RelaySettings
from servicekit.relay.shards import HeldShard, HeldShards
from servicekit.relay.topic_end import read_topic_ends
from servicekit.relay.waking import Wakeup
from servicekit.relay.watermarks import WatermarkWriter, note, uncut
from servicekit.replication import Barrier, waits_for_standby

_log = structlog.get_logger(__name__)

LAG_S_MAX: Final = 30.0
"""More, and nothing of what was done lately is seen anywhere: a deep look says so."""


class Relay:
    """Publishes what follows the cursors of the shards it has leased, until it is stopped.

    *owner* is what operators see as the holder of a lease.
    """

    def __init__(
        self,
        settings: RelaySettings,
        *,
        owner: str,
        pool: Pool,
        journal: SqlJournal,
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
        self._leases = Leases(owner=f"{owner}#{new_id_text()}", lease_s=settings.lease_s)
        self._comparison = Comparison(journal, metrics)
        self._holds = Holds(backoff_s_min=settings.backoff_s_min, backoff_s_max=settings.backoff_s_max, jitter=jitter)
        # Looking at a partition that does not answer holds up the others for a moment: not often.
        self._unread = Holds(backoff_s_min=settings.unread_s_min, backoff_s_max=settings.unread_s_max, jitter=jitter)
        self._size = ReadSize(
            rows_per_shard=settings.rows_per_shard_max,
            rows=settings.rows_per_read_max,
            size_bytes=settings.bytes_per_read_max,
        )
        self._barrier = Barrier(pool)
        self._wakeup = Wakeup(pool, journal.channel)
        self._watermarks = WatermarkWriter(settings, metrics)
        self._waits_for_standby = False
        self._partitions = 0  # of the topic; 0 until the broker has answered
        self._shards = HeldShards(metrics)
        self._connections = 0  # of the pool, when the journal was compared last
        self._renewed_s = float("-inf")
        self._moved_s = float("-inf")
        self._measured_s = float("-inf")
        self._lag_s = 0.0
        metrics.tell_leases(self._leases_in_force)

    async def check(self) -> Mapping[str, Check]:
        """Return, for a deep look, what waits or is stopped, and for how long something waits."""
        held, stopped = len(self._holds) + len(self._unread), sorted(self._shards.stopped)
        return {
            "partitions": Check(ok=not held, detail=f"{held} held"),
            "shards": Check(ok=not stopped, detail=f"stopped at a gap: {stopped}" if stopped else "none stopped"),
            "lag": Check(
                ok=self._lag_s <= LAG_S_MAX, detail=f"the oldest waits {self._lag_s:.3f} s, {LAG_S_MAX} s at most"
            ),
        }

    async def run(self, shutdown: Shutdown) -> None:
        """Publish until the end is requested, then move the cursors and free the leases.

        A broker or a database that is away is waited for without a bound. Raises LeasesLost and TopicAhead.
        """
        idle_s, failures = self._settings.idle_s_min, 0
        try:
            while not shutdown.is_requested:
                began_s = monotonic_s()
                try:
                    published = await self._cycle()
                except (PublishError, OperationalError) as error:
                    failures += 1
                    await self._after_failure(error, failures, shutdown)
                    continue
                failures = 0
                if published:
                    idle_s = self._settings.idle_s_min
                    await shutdown.sleep(self._pause_s(published, began_s))
                else:
                    idle_s = min(idle_s * 2, self._idle_s_max)
                    await self._wakeup.sleep(idle_s, shutdown)
        finally:
            self._wakeup.close()
            self._barrier.close()
            await self._watermarks.close()
            await self._publisher.close()
        await self._hand_over()

    async def _cycle(self) -> int:
        """Run one round; return how many records were published."""
        # First, because the lag is to grow where leases cannot be taken for want of a broker.
        if self._is_due(self._measured_s, self._settings.measure_every_s):
            await self._measure()
        if self._is_due(self._renewed_s, self._settings.renew_every_s):
            await self._keep_leases()
        trailed = self._settle(self._publisher.ended())
        events = await self._read()
        if events and self._waits_for_standby:
            await self._barrier.passed(self._settings.send_timeout_s)
        published = await self._publish(events) if events else 0
        if self._is_due(self._moved_s, self._settings.move_every_s):
            await self._move_cursors()
        self._watermarks.write(self._shards)
        return trailed + published

    @property
    def _idle_s_max(self) -> float:
        return self._settings.listening_s_max if self._wakeup.is_listening else self._settings.idle_s_max

    def _pause_s(self, published: int, began_s: float) -> float:
        """Return how long to wait for more: what a round costs is shared by all that it publishes."""
        if published >= self._settings.full_records:
            return 0.0
        apart_s = min(self._settings.round_s_min, self._settings.idle_s_max)
        return max(0.0, began_s + apart_s - monotonic_s())

    def _is_due(self, last_s: float, every_s: float) -> bool:
        return monotonic_s() - last_s >= every_s

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[Connection]:
        """Lend a connection. Behind a new one may be another server: the journal is compared before it is used."""
        async with self._pool.connection() as connection:
            if self._pool.opened != self._connections:
                opened = self._pool.opened
                await self._require_published(connection, list(self._shards))
                self._connections = opened
            yield connection

    # -- leases

    async def _keep_leases(self) -> None:
        """Renew, drop what was lost, hand over what is beyond the fair share, take what is free."""
        stood_still = self._is_due(self._renewed_s, self._settings.lease_s)
        asked_s = monotonic_s()
        async with self._database() as connection:
            renewal = await self._leases.renew(connection)
            self._waits_for_standby = await waits_for_standby(connection)
            await self._comparison.refuse_while_halted(connection)
            self._renewed_s = asked_s
            await self._require_published(connection, list(self._shards))
            self._drop(self._shards.lost(renewal), stood_still=stood_still)
        await self._wakeup.listen()
        await self._free_unheld(renewal.epochs)
        excess = len(self._shards) - renewal.fair_share
        if excess > 0:
            await self._release(sorted(self._shards)[-excess:])
        elif excess < 0:
            await self._acquire(-excess)

    def _drop(self, lost: set[int], *, stood_still: bool) -> None:
        if not lost:
            return
        self._shards.give_up(lost)
        self._metrics.leases_lost(len(lost))
        _log.warning("relay.leases_lost", shards=sorted(lost))
        if stood_still:
            raise LeasesLost(f"was paused beyond {self._settings.lease_s} s and lost {len(lost)} shards")

    def _leases_in_force(self) -> int:
        """Return how many shards are ours to publish: none where their leases could not be renewed in time."""
        return 0 if self._is_due(self._renewed_s, self._settings.lease_s) else len(self._shards)

    async def _free_unheld(self, epochs: Mapping[int, int]) -> None:
        """Free the leases that are ours by the table alone, or nobody would publish their shards.

        A crash of the database took the move of a cursor back, so that the shard was dropped; or the answer to an
        acquisition was lost. Who takes them begins at the stored cursor.
        """
        unheld = {shard: epoch for shard, epoch in epochs.items() if shard not in self._shards}
        if unheld:
            async with self._database() as connection:
                await self._leases.release(connection, unheld)

    async def _acquire(self, shards_max: int) -> None:
        self._partitions = await self._publisher.partitions()
        now_s = monotonic_s()
        leave = [shard for shard in range(SHARDS) if self._unread.waits(self._partition(shard), now_s)]
        async with self._database() as connection:
            leases = await self._leases.acquire(connection, shards_max, leave)
        if not leases:
            return
        try:
            taken = await self._require_journal(leases)
        except (PublishError, OperationalError, TopicAhead):
            # Not compared, so not published: free them for whoever can.
            await self._free(leases)
            raise
        self._shards.update(taken)
        await self._free([lease for lease in leases if lease.shard not in taken])
        _log.info("relay.leases_acquired", shards=list(taken))

    async def _free(self, leases: Sequence[Lease]) -> None:
        if leases:
            async with self._pool.connection() as connection:
                await self._leases.release(connection, {lease.shard: lease.epoch for lease in leases})

    async def _require_journal(self, leases: Sequence[Lease]) -> dict[int, HeldShard]:
        """Return the shards of the partitions that can be read; raises TopicAhead if the journal lacks their end."""
        shards: dict[int, list[int]] = {}
        for lease in leases:
            shards.setdefault(self._partition(lease.shard), []).append(lease.shard)
        found = await read_topic_ends(self._settings.publisher.brokers, self._settings.publisher.topic, shards)
        for partition in found.unread:
            self._hold(self._unread, partition, "Unread")
        for partition in shards.keys() - found.unread:
            self._unread.clear(partition)
        async with self._pool.connection() as connection:
            lacking = await self._comparison.lacking(connection, found.ends)
            await self._comparison.halt(connection, lacking)
            taken = [lease for lease in leases if self._partition(lease.shard) not in found.unread]
            marks = await self._comparison.marks(connection, taken)
        return {lease.shard: HeldShard(lease.epoch, marks[lease.shard]) for lease in taken}

    async def _require_published(self, connection: Connection, shards: Iterable[int]) -> None:
        """Raise TopicAhead if the journal no longer has what was published of one of *shards*."""
        records = [
            TopicEnd(
                topic=self._settings.publisher.topic,
                partition=self._partition(shard),
                offset=mark.offset,
                shard=shard,
                sequence=mark.sequence,
                event_id=mark.event_id,
            )
            for shard in shards
            for mark in self._shards[shard].marks
            if mark.event_id is not None
        ]
        lacking = await self._comparison.lacking(connection, records)
        if not lacking:
            return
        await self._comparison.halt(connection, lacking)
        # An operator has accepted just these before: what is there now is published like anything else.
        self._drop({record.shard for record in lacking}, stood_still=False)

    async def _release(self, shards: Sequence[int]) -> None:
        await self._move_cursors()
        epochs = self._shards.give_up(shards)
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

    # -- records

    def _partition(self, shard: int) -> int:
        return partition_of(shard, self._partitions)

    async def _read(self) -> list[Envelope]:
        now_s = monotonic_s()
        cursors = {
            shard: held.published.sequence
            for shard, held in self._shards.items()
            if shard not in self._shards.stopped and not self._holds.waits(self._partition(shard), now_s)
        }
        if not cursors:
            return []
        until_s = await self._watermarks.counts_until_s(self._barrier if self._waits_for_standby else None)
        rows, size_bytes = self._size.per_shard(len(cursors))
        try:
            async with self._database() as connection:
                look = await self._journal.look(connection, cursors, rows, size_bytes)
        except OperationalError:
            self._size.halve()
            raise
        if monotonic_s() < until_s:
            note(self._shards, look, uncut(look.events, cursors, rows, size_bytes))
        return [
            event for _, run in groupby(look.events, attrgetter("shard")) for event in self._shards.dense(list(run))
        ]

    async def _publish(self, events: Sequence[Envelope]) -> int:
        began_s = monotonic_s()
        if began_s + self._settings.send_timeout_s > self._renewed_s + self._settings.lease_s:
            await self._keep_leases()  # reading took long: what was read may belong to others by now
            return 0
        sent = await self._publisher.send(
            events, timeout_s=self._settings.send_timeout_s, on_trial=self._holds.on_trial
        )
        self._holds.begin(self._publisher.trailing)
        published = self._settle(sent)
        if published:
            self._metrics.publish_took(monotonic_s() - began_s)
            self._size.grow()
        else:
            self._size.halve()
        return published

    def _settle(self, sent: Iterable[Sending]) -> int:
        """Remember what was acknowledged, hold partitions that failed; return how many records were published."""
        published = 0
        for sending in sent:
            self._shards.acknowledge(sending)
            published += sending.acknowledged
            if sending.error is None:
                self._holds.clear(sending.partition)
            else:
                self._hold(self._holds, sending.partition, sending.error)
        self._metrics.published(published)
        self._metrics.partitions_held(len(self._holds) + len(self._unread))
        return published

    def _hold(self, holds: Holds, partition: int, error: str) -> None:
        failures = holds.fail(partition, monotonic_s())
        self._metrics.publish_failed(error)
        _log.warning("relay.partition_held", partition=partition, error=error, failures=failures)

    async def _move_cursors(self) -> None:
        self._moved_s = monotonic_s()
        if not self._shards.moving():
            return
        stood_still = self._is_due(self._renewed_s, self._settings.lease_s)
        async with self._database() as connection:
            await self._require_published(connection, self._shards.moving())
            moving = self._shards.moving()
            moves = [
                Move(shard, held.epoch, held.stored.sequence, held.published.sequence) for shard, held in moving.items()
            ]
            moved = await self._leases.move(connection, moves)
        for shard in moved:
            moving[shard].stored = moving[shard].published
        self._drop(moving.keys() - moved, stood_still=stood_still)

    async def _measure(self) -> None:
        cursors = {shard: held.published.sequence for shard, held in self._shards.items()}
        async with self._database() as connection:
            # What nobody publishes counts too: with the broker away from the start, no relay owns anything.
            cursors = {**await self._leases.unowned(connection), **cursors}
            backlog = await self._journal.backlog(connection, cursors)
        self._measured_s = monotonic_s()
        self._lag_s = backlog.seconds
        self._metrics.lag(backlog.rows, backlog.seconds)
        self._metrics.ended_before(len(backlog.ended_before))
        if backlog.ended_before:
            _log.error("relay.journal_ended_before", shards=list(backlog.ended_before))

    async def _after_failure(self, error: PublishError | OperationalError, failures: int, shutdown: Shutdown) -> None:
        """Wait with jitter; the next round reads again behind what was acknowledged."""
        name = error.kind if isinstance(error, PublishError) else type(error).__name__
        self._metrics.publish_failed(name)
        backoff_s = min(self._settings.backoff_s_max, self._settings.backoff_s_min * 2 ** min(failures, 10))
        _log.warning("relay.round_failed", error=name, failures=failures)
        await shutdown.sleep(backoff_s * self._jitter.uniform(0.5, 1.0))
