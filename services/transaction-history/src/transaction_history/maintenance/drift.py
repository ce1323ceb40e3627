"""Drift: whether the projected rows are still what the topic says, looked at for ever, a few events at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Self

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from servicekit.brokers import Brokers
from servicekit.consumer import checkpoints
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import PartitionReader, open_partition
from servicekit.maintenance import InvariantMetrics, Job, JobRun
from servicekit.postgres import Connection, Pool
from transaction_history.maintenance.comparing import Compared, Comparing

CHUNK_EVENTS: Final = 500
"""Compared at once: the process has other things to do in between."""
NAMED_MAX: Final = 20
"""Of each chunk's differences so many are named in the log; all are counted."""
_CLOSE_S: Final = 2.0

_log = structlog.get_logger(__name__)

_PLACE: Final = "select topic_partition, next_offset, rounds from history_jobs.drift where projection = $1"
_PARTITIONS: Final = """
    select distinct topic_partition from servicekit.checkpoint where projection = $1 order by topic_partition"""
_KEEP: Final = """
    insert into history_jobs.drift (projection, topic_partition, next_offset, rounds, updated_at)
    values ($1, $2, $3, $4, clock_timestamp())
    on conflict (projection) do update set topic_partition = excluded.topic_partition,
        next_offset = excluded.next_offset, rounds = excluded.rounds, updated_at = excluded.updated_at"""


class DriftMetrics:
    """What was compared, and what was found, by projection."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("projection",)
        self._events = Counter(
            "history_drift_events_total", "Events whose rows were compared with them.", labels, registry=registry
        )
        self._skipped = Counter(
            "history_drift_skipped_total",
            "Events that could not be compared: not projected yet, of a parked wallet, unreadable, no more there.",
            labels,
            registry=registry,
        )
        self._differences = Counter(
            "history_drift_differences_total",
            "Columns that were not what the events say, each time they were looked at.",
            ("projection", "table"),
            registry=registry,
        )
        self._rounds = Gauge(
            "history_drift_round_ended_timestamp_seconds",
            "When the last round over the topic ended.",
            labels,
            registry=registry,
        )
        self._invariants = InvariantMetrics(registry)

    def compared(self, projection: str, compared: Compared) -> None:
        """Count what was compared, and each difference."""
        self._events.labels(projection).inc(compared.events)
        self.skipped(projection, compared.skipped)
        for difference in compared.differences:
            self._differences.labels(projection, difference.table).inc()
        self._invariants.checked(invariant_of(projection), rows=compared.events, violations=len(compared.differences))

    def skipped(self, projection: str, events: int) -> None:
        """Count events that were not compared."""
        self._skipped.labels(projection).inc(events)

    def round_ended(self, projection: str) -> None:
        """Tell that all of the topic was looked at."""
        self._rounds.labels(projection).set_to_current_time()
        self._invariants.round_ended(invariant_of(projection))


def invariant_of(projection: str) -> str:
    """Return the name of the invariant that *projection* has what the events say."""
    return f"{projection}_equals_events"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the walk goes on: in which partition, from which offset, in which round over all of them."""

    partition: int
    offset: int
    rounds: int


class Drift:
    """Walks over the topic's partitions in turns, and compares with each record the rows it made.

    As a context manager it closes its reader on the way out.
    """

    def __init__(
        self, comparing: Comparing, *, brokers: Brokers, topic: str, events_per_s: int, metrics: DriftMetrics
    ) -> None:
        self._comparing = comparing
        self._brokers = brokers
        self._topic = topic
        self._events_per_s = events_per_s
        self._metrics = metrics
        self._open = AsyncExitStack()
        self._reader: PartitionReader | None = None
        self._at: Place | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def job(self) -> Job:
        """Return what one worker of all does, each second."""
        return Job(name=f"drift_{self._comparing.name}", interval_s=1.0, run=self.run, has_leader=True)

    async def run(self, run: JobRun) -> int:
        """Compare what may be compared in a second; return how many events that were."""
        compared, left = 0, self._events_per_s
        try:
            while left > 0:
                size = min(CHUNK_EVENTS, left)
                done = await self._chunk(run, size)
                compared, left = compared + done, left - size
        except BaseException:
            await self._close()  # it may have read on, beyond the place that is kept
            raise
        return compared

    async def _chunk(self, run: JobRun, size: int) -> int:
        name = self._comparing.name
        partitions = [row["topic_partition"] for row in await run.connection.fetch(_PARTITIONS, name)]
        if not partitions:
            return 0
        reader, place = await self._reading(await self._place(run.connection, partitions))
        received = await self._next(reader, place, size)
        if received:
            compared = await self._comparing.compare(run.connection, received)
            following = Place(place.partition, received[-1].offset + 1, place.rounds)
        else:
            compared = await self._comparing.end(run.connection, reader)
            following = _behind(place, partitions)
        async with run.transaction() as tx:
            kept = following.offset if self._comparing.resumes else 0
            await tx.connection.execute(_KEEP, name, following.partition, kept, following.rounds)
        self._at = following
        report(name, compared)
        self._metrics.compared(name, compared)
        if following.rounds > place.rounds:
            self._metrics.round_ended(name)
            _log.info("history.drift_round_ended", projection=name, rounds=following.rounds)
        return compared.events

    async def _next(self, reader: PartitionReader, place: Place, size: int) -> list[Received]:
        """Return the next records, none at the end: with a few at most behind it, where all is to be added up."""
        received = await reader.next_poll(records_max=size)
        if received or self._comparing.resumes:
            return received
        await reader.seek(place.offset)
        received = await reader.next_poll(records_max=size)
        return received if len(received) >= size else []

    async def _place(self, connection: Connection, partitions: Sequence[int]) -> Place:
        row = await connection.fetchrow(_PLACE, self._comparing.name)
        if row is None or row["topic_partition"] not in partitions:
            return Place(partitions[0], 0, 0 if row is None else row["rounds"])
        return Place(row["topic_partition"], row["next_offset"], row["rounds"])

    async def _reading(self, kept: Place) -> tuple[PartitionReader, Place]:
        """Return the reader where it stands, if that is the place that is *kept*; else one that begins there."""
        at, reader = self._at, self._reader
        if at is not None and reader is not None and at.offset > 0:
            is_there = at == kept if self._comparing.resumes else _turn(at) == _turn(kept)
            if is_there:
                return reader, at
        await self._close()
        reader = await self._open.enter_async_context(open_partition(self._brokers, self._topic, kept.partition))
        begin = await reader.seek(kept.offset)
        if begin > kept.offset:
            self._metrics.skipped(self._comparing.name, begin - kept.offset)
            _log.warning(
                "history.drift_skipped",
                projection=self._comparing.name,
                partition=kept.partition,
                offset=kept.offset,
                begins_at=begin,
            )
        if not self._comparing.resumes or kept.offset == 0:
            self._comparing.begin(kept.rounds)
        self._reader = reader
        return reader, kept

    async def _close(self) -> None:
        self._reader = self._at = None
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._open.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What is looked at by hand: sequences of one shard, or of all, between bounds that are both included."""

    shard: int | None = None
    from_seq: int = 1
    to_seq: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it has all of each of its shards."""
        return self.from_seq == 1 and self.to_seq is None

    def has(self, record: Received) -> bool:
        """Return whether *record* is in it."""
        return (
            self.shard in {None, record.shard}
            and record.sequence >= self.from_seq
            and (self.to_seq is None or record.sequence <= self.to_seq)
        )


async def look(
    comparing: Comparing, wanted: Range, *, pool: Pool, brokers: Brokers, topic: str
) -> AsyncIterator[Compared]:
    """Compare what is *wanted*, and give what was found run by run; raises the client's errors."""
    async with pool.connection() as connection:
        partitions = [row["topic_partition"] for row in await connection.fetch(_PARTITIONS, comparing.name)]
        if wanted.shard is not None:
            of_shard = await checkpoints.partition_of_shard(connection, comparing.name, wanted.shard)
            partitions = [partition for partition in partitions if partition == of_shard]
    for partition in partitions:
        comparing.begin(0)
        async with open_partition(brokers, topic, partition) as reader:
            await reader.seek(0)
            while polled := await reader.next_poll(records_max=CHUNK_EVENTS):
                async with pool.connection() as connection:
                    yield await comparing.compare(connection, [record for record in polled if wanted.has(record)])
            if wanted.is_whole:
                async with pool.connection() as connection:
                    yield await comparing.end(connection, reader)


def report(projection: str, compared: Compared) -> None:
    """Log what was found, the first of it by name."""
    for note in compared.notes:
        _log.warning("history.drift_not_compared", projection=projection, reason=note)
    for difference in compared.differences[:NAMED_MAX]:
        _log.error(
            "history.drift",
            projection=projection,
            shard=difference.shard,
            seq=difference.seq,
            table=difference.table,
            column=difference.column,
            key=difference.key,
            wallet_id=None if difference.wallet_id is None else str(difference.wallet_id),
        )
    if len(compared.differences) > NAMED_MAX:
        _log.error("history.drift_more", projection=projection, differences=len(compared.differences))


def _turn(place: Place) -> tuple[int, int]:
    return place.partition, place.rounds


def _behind(place: Place, partitions: Sequence[int]) -> Place:
    """Return the beginning of the partition behind that of *place*; behind the last one a round has ended."""
    following = [partition for partition in partitions if partition > place.partition]
    return Place(following[0], 0, place.rounds) if following else Place(partitions[0], 0, place.rounds + 1)


@asynccontextmanager
async def drifting(walks: Sequence[Drift]) -> AsyncIterator[Sequence[Job]]:
    """Give the jobs of *walks*, and close what they have open on the way out."""
    async with AsyncExitStack() as stack:
        yield [(await stack.enter_async_context(walk)).job() for walk in walks]
