"""The consumer's loop: poll, process, and only then commit offsets to the broker."""

import asyncio
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from opentelemetry.util.types import AttributeValue

from contracts.ids import SHARDS, partition_of
from servicekit.clock import monotonic_s, utc_now
from servicekit.consumer import checkpoints, parking
from servicekit.consumer.checkpoints import Lag
from servicekit.consumer.client import ClientEnded, require_at_work, start_client, stop_client
from servicekit.consumer.gaps import LookAgain
from servicekit.consumer.metrics import ConsumerMetrics
from servicekit.consumer.portions import Portions
from servicekit.consumer.processing import Processor
from servicekit.consumer.projection import Projection
from servicekit.consumer.records import Received, receive
from servicekit.consumer.settings import ConsumerSettings
from servicekit.consumer.watermark_reader import WatermarkReader
from servicekit.failures import OperationalError
from servicekit.health import Check
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Pool
from servicekit.telemetry import SpanKind, Tracing
from servicekit.telemetry.attributes import (
    KAFKA,
    MESSAGING_CONSUMER_GROUP_NAME,
    MESSAGING_DESTINATION_NAME,
    MESSAGING_DESTINATION_PARTITION_ID,
    MESSAGING_KAFKA_OFFSET,
    MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE,
    MESSAGING_SYSTEM,
    STREAM_SEQUENCE,
    STREAM_SHARD,
)

_log = structlog.get_logger(__name__)

PORTIONS_S_MAX: Final = 20.0
"""A poll that takes longer is left off, well within the client's time between two polls."""
QUICK_S: Final = 3.0
"""Only what is committed within this lets portions grow: twice as much must not meet the transaction's bound."""
SPANS_PER_POLL_MAX: Final = 50
LAG_S_MAX: Final = 60.0
"""More, and readers wait in vain: a deep look says so."""
BROKER_TIMEOUT_S: Final = 10.0
"""What the broker is asked in housekeeping takes milliseconds; without a deadline the client would wait without end."""

Poll = Mapping[TopicPartition, Sequence["ConsumerRecord[bytes, bytes]"]]


@dataclass(frozen=True, slots=True)
class _Batch:
    poll: Poll
    received: Sequence[Received]

    def without(self, partitions: AbstractSet[int]) -> "_Batch":
        """Return what is not of *partitions*."""
        if not partitions:
            return self
        return _Batch(
            {part: records for part, records in self.poll.items() if part.partition not in partitions},
            [record for record in self.received if record.partition not in partitions],
        )


@dataclass(frozen=True, slots=True)
class Processed:
    """The outcome of a poll: the gaps to be looked at *again*, and the *rest* that is to be polled once more."""

    again: Sequence[LookAgain] = ()
    rest: Sequence[Received] = ()


class ConsumerRunner:
    """Feeds one projection from its topic, until it is stopped."""

    def __init__(
        self,
        settings: ConsumerSettings,
        *,
        projection: Projection,
        pool: Pool,
        metrics: ConsumerMetrics,
        tracing: Tracing,
        jitter: random.Random,
    ) -> None:
        self._settings = settings
        self._projection = projection
        self._pool = pool
        self._metrics = metrics
        self._tracing = tracing
        self._jitter = jitter
        self._processor = Processor(projection, pool, metrics)
        self._watermarks = WatermarkReader(settings, projection.name, jitter)
        self._portions = Portions(records_max=settings.records_per_poll_max, size_max_bytes=settings.bytes_per_poll_max)
        self._committed_behind: dict[TopicPartition, int] = {}  # processed, not yet committed to the broker
        self._latest: dict[int, datetime] = {}
        self._kept_s = float("-inf")
        self._due_s = float("-inf")
        self._failures = 0
        self._unreadable = 0
        self._parked = 0
        self._lag_s = 0.0

    async def check(self) -> Mapping[str, Check]:
        """Return, for a deep look, what was passed over, is parked or stopped, and how far the rest is behind."""
        stopped = self._processor.stopped
        return {
            "records": Check(ok=not self._unreadable, detail=f"{self._unreadable} without a place passed over"),
            "subjects": Check(ok=not self._parked, detail=f"{self._parked} parked"),
            "shards": Check(ok=not stopped, detail=f"stopped: {sorted(stopped)}" if stopped else "none stopped"),
            "lag": Check(ok=self._lag_s <= LAG_S_MAX, detail=f"{self._lag_s} s behind, {LAG_S_MAX} s at most"),
            **self._watermarks.check(),
        }

    async def run(self, shutdown: Shutdown) -> None:
        """Consume until the end is requested. A broker or a database that is away is waited for without a bound.

        Raises ParkingFull when the projection fails for more subjects than can be parked.
        """
        async with self._watermarks.reading(shutdown):
            while not shutdown.is_requested:
                try:
                    await self._consume(shutdown)
                except (ClientEnded, KafkaError, OSError) as error:
                    self._failed(error)
                    await shutdown.sleep(self._backoff_s())

    async def _consume(self, shutdown: Shutdown) -> None:
        consumer = self._new_consumer()
        try:
            await start_client(consumer, shutdown)
            batch = _Batch({}, [])
            while not shutdown.is_requested:
                batch = await self._round(consumer, batch)
            await self._tell_broker(consumer)
        finally:
            await stop_client(consumer)

    async def _round(self, consumer: AIOKafkaConsumer, batch: _Batch) -> _Batch:
        """Process *batch* while the next one is polled and read; return that."""
        processing = asyncio.ensure_future(self._process(batch))
        following = _Batch({}, [])
        try:
            following = await self._poll(consumer)
        finally:
            await asyncio.wait({processing})
            processing.exception()  # reported below; if polling fails too, that is reported and all is polled again
        try:
            processed = await processing
            self._done(batch, processed)
            if processed.again or processed.rest:
                self._go_back(consumer, following.poll)  # read too early: only once what comes before is applied
                self._look_again(consumer, processed)
                following = _Batch({}, [])
            rewound = await self._keep_house(consumer, following.poll)
            self._failures = 0
        except OperationalError as error:
            self._failed(error)
            await self._poll_again_later(consumer, batch.poll, following.poll)
            return _Batch({}, [])
        return following.without(rewound)

    def _new_consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            self._projection.topic,
            **self._settings.brokers.client(),
            group_id=self._projection.name,
            client_id=self._settings.client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=self._settings.session_timeout_ms,
            heartbeat_interval_ms=self._settings.heartbeat_ms,
            max_poll_interval_ms=self._settings.max_poll_interval_ms,
            fetch_max_bytes=self._settings.bytes_per_poll_max,
        )

    # -- one poll

    async def _poll(self, consumer: AIOKafkaConsumer) -> _Batch:
        await asyncio.sleep(max(0.0, self._due_s - monotonic_s()))
        # Never inside wait_for: a poll that is cancelled can leave the group for good.
        poll = await consumer.getmany(
            timeout_ms=self._settings.poll_ms, max_records=self._settings.records_per_poll_max
        )
        batch = _Batch(poll, list(self._received(poll)))
        if len(batch.received) < self._settings.full_records:
            self._due_s = monotonic_s() + self._settings.poll_s_min
        return batch

    async def _process(self, batch: _Batch) -> Processed:
        """Process *batch* in portions, of which one is usually all of it.

        Stop at a gap, when it takes long, or at a portion that cannot be committed: where it is the first, that is
        raised.
        """
        done, began_s = 0, monotonic_s()
        with self._spans(batch.received):
            for portion in self._portions.cut(batch.received):
                try:
                    again = await self._commit(portion)
                except OperationalError as error:
                    if done == 0:
                        raise
                    self._failed(error)
                    return Processed(rest=batch.received[done:])
                done += len(portion)
                if again or monotonic_s() - began_s > PORTIONS_S_MAX:
                    return Processed(again, batch.received[done:])
        return Processed()

    async def _commit(self, portion: Sequence[Received]) -> list[LookAgain]:
        began_s = monotonic_s()
        try:
            again = await self._processor.process(portion)
        except OperationalError:
            self._portions.halve()
            raise
        if self._processor.fresh and monotonic_s() - began_s < QUICK_S:
            self._portions.count_good()
        return again

    def _done(self, batch: _Batch, processed: Processed) -> None:
        rest = _first_offsets(processed.rest)
        for partition, records in batch.poll.items():
            self._committed_behind[partition] = rest.get(partition.partition, records[-1].offset + 1)
        for record in batch.received:
            if record.event is not None:
                self._latest[record.partition] = record.event.time

    def _received(self, poll: Poll) -> Iterator[Received]:
        for records in poll.values():
            for record in records:
                received = receive(record)
                if received is None:
                    # Nobody knows whose it is. Where it was an event, its shard misses it and stops.
                    self._metrics.unreadable()
                    self._unreadable += 1
                    _log.error("consumer.unreadable_record", partition=record.partition, offset=record.offset)
                else:
                    yield received

    @contextmanager
    def _spans(self, received: Sequence[Received]) -> Iterator[None]:
        """Continue the traces of sampled events over their transaction."""
        sampled = [record for record in received if record.event is not None and record.event.traceparent is not None]
        with ExitStack() as spans:
            for record in sampled[:SPANS_PER_POLL_MAX]:
                assert record.event is not None
                attributes: dict[str, AttributeValue] = {
                    MESSAGING_SYSTEM: KAFKA,
                    MESSAGING_OPERATION_NAME: "project",
                    MESSAGING_OPERATION_TYPE: "process",
                    MESSAGING_DESTINATION_NAME: self._projection.topic,
                    MESSAGING_DESTINATION_PARTITION_ID: str(record.partition),
                    MESSAGING_CONSUMER_GROUP_NAME: self._projection.name,
                    MESSAGING_KAFKA_OFFSET: record.offset,
                    STREAM_SHARD: record.shard,
                    STREAM_SEQUENCE: record.sequence,
                }
                name = f"project {record.event.type}"
                spans.enter_context(
                    self._tracing.start_span_from(record.event.traceparent, name, SpanKind.CONSUMER, attributes)
                )
            yield

    def _look_again(self, consumer: AIOKafkaConsumer, processed: Processed) -> None:
        offsets = _first_offsets([*processed.again, *processed.rest])
        for look in processed.again:
            _log.warning("consumer.gap", shard=look.shard, partition=look.partition, offset=look.offset)
        for partition, offset in offsets.items():
            self._seek(consumer, TopicPartition(self._projection.topic, partition), offset)

    def _seek(self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
        with suppress(IllegalStateError):  # taken away meanwhile: its next owner begins behind the checkpoints
            consumer.seek(partition, offset)

    # -- failures

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        name = type(error).__name__
        self._metrics.failed(name)
        _log.warning("consumer.poll_failed", projection=self._projection.name, error=name)

    def _backoff_s(self) -> float:
        backoff_s = min(self._settings.backoff_s_max, self._settings.backoff_s_min * 2.0 ** min(self._failures, 10))
        return backoff_s * self._jitter.uniform(0.5, 1.0)

    async def _poll_again_later(self, consumer: AIOKafkaConsumer, *polls: Poll) -> None:
        """Go back behind *polls*, first polled first, and wait without leaving the group: paused, but polling."""
        for poll in reversed(polls):
            self._go_back(consumer, poll)
        paused = consumer.assignment()
        consumer.pause(*paused)
        # Partitions that came with a rebalance are not paused: what they deliver is read again too.
        self._go_back(consumer, await consumer.getmany(timeout_ms=int(self._backoff_s() * 1000)))
        still_here = paused & consumer.assignment()
        if still_here:
            consumer.resume(*still_here)

    def _go_back(self, consumer: AIOKafkaConsumer, poll: Poll) -> None:
        for partition, records in poll.items():
            self._seek(consumer, partition, records[0].offset)

    # -- housekeeping

    async def _keep_house(self, consumer: AIOKafkaConsumer, waiting: Poll) -> AbstractSet[int]:
        """Tell broker, readers and operators how things are; return the partitions that are rewound.

        Of those, what is *waiting* was polled too early: processed, it would be a gap, and looking at that again would
        undo the rewind.
        """
        if monotonic_s() - self._kept_s < self._settings.housekeeping_every_s:
            return frozenset()
        self._kept_s = monotonic_s()
        require_at_work(consumer)
        async with asyncio.timeout(BROKER_TIMEOUT_S):
            await self._tell_broker(consumer)
            lags = await self._lags(consumer, waiting)
        partitions = [partition.partition for partition in consumer.assignment()]
        shards = self._shards(consumer, partitions)
        async with self._pool.connection() as connection:
            await checkpoints.store_lags(connection, self._projection.name, lags)
            progress = await self._watermarks.keep(connection, shards)
            parked = await parking.parked_subject_count(connection, self._projection.name)
            seeks = await checkpoints.take_seeks(connection, self._projection.name, partitions)
        self._parked = parked
        self._metrics.parked(parked)
        lag_ms = max((reached.lag_ms for reached in progress.values()), default=0)
        self._lag_s = lag_ms / 1_000
        self._metrics.lag(sum(lag.records for lag in lags), lag_ms, self._watermarks.complete_until)
        if seeks:
            self._processor.rewound(seeks)
        for partition, offset in seeks.items():
            _log.info("consumer.rewound", partition=partition, offset=offset)
            self._seek(consumer, TopicPartition(self._projection.topic, partition), offset)
        return seeks.keys()

    def _shards(self, consumer: AIOKafkaConsumer, partitions: Collection[int]) -> list[int]:
        """Return the shards of *partitions*."""
        known = len(consumer.partitions_for_topic(self._projection.topic) or ())
        return [shard for shard in range(SHARDS) if partitions and partition_of(shard, known) in partitions]

    async def _tell_broker(self, consumer: AIOKafkaConsumer) -> None:
        """Commit offsets as a hint of where to begin: only behind what the database has committed."""
        offsets = {p: offset for p, offset in self._committed_behind.items() if p in consumer.assignment()}
        self._committed_behind.clear()
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            _log.info("consumer.offsets_not_committed", error=type(error).__name__)

    async def _lags(self, consumer: AIOKafkaConsumer, waiting: Poll) -> list[Lag]:
        """Return how far behind each partition is; what is polled and *waiting* is not applied yet.

        A broker that is silent has told of no end since: what it told last grows old.
        """
        now = utc_now()
        lags = []
        for partition in consumer.assignment():
            end, told_ms = consumer.highwater(partition), consumer.last_poll_timestamp(partition)
            if end is None or told_ms is None:
                continue
            polled = waiting.get(partition)
            records = max(0, end - (polled[0].offset if polled else await consumer.position(partition)))
            latest = self._latest.get(partition.partition)
            behind_ms = int((now - latest).total_seconds() * 1000) if records and latest is not None else 0
            told_ms_ago = max(0, int(now.timestamp() * 1000) - told_ms)
            lags.append(Lag(partition.partition, records, max(0, behind_ms), told_ms_ago))
        return sorted(lags, key=lambda lag: lag.partition)


def _first_offsets(places: Iterable[LookAgain | Received]) -> dict[int, int]:
    """Return the lowest offset of each partition among *places*."""
    offsets: dict[int, int] = {}
    for place in places:
        offsets[place.partition] = min(place.offset, offsets.get(place.partition, place.offset))
    return offsets
