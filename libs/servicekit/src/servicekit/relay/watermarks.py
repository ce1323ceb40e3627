"""Watermarks: up to where the topic is complete, and as of when, told once a second to a topic of their own.

A watermark says that all the database showed of a shard at an instant is published. Once true it stays true, so that
one that comes late, or from a relay that has lost the shard meanwhile, misleads nobody for longer than until the next.
It never holds up what it tells of: it is written beside the relay's rounds, and one that cannot be written is left out.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from contracts.envelope import Envelope
from contracts.watermarks import Watermark, to_record
from servicekit.clock import monotonic_s
from servicekit.failures import Unavailable
from servicekit.relay.journal import Look
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.publisher import STOP_TIMEOUT_S, dispose, new_producer
from servicekit.relay.settings import RelaySettings
from servicekit.relay.shards import HeldShard, Seen
from servicekit.replication import Barrier

_log = structlog.get_logger(__name__)

BARRIER_S: Final = 1.0
"""How long a look that is told of waits for the standby at most."""
LOOK_S: Final = 4.0
"""A barrier and the look behind it take no longer, or it is not told of. Whoever reads watermarks counts on 5 s between
the end of a transaction, which lives 15 s, and its being visible.
"""
PARTITION: Final = 0
WRITE_S: Final = 3.0


def uncut(
    events: Iterable[Envelope], cursors: Mapping[int, int], rows_per_shard: int, bytes_per_shard: int
) -> dict[int, int]:
    """Return, for each shard of which a look at *cursors* showed all there was, the last sequence: the cursor for none.

    A look may have been cut off that brought as many rows or bytes as its bounds allow.
    """
    ends = dict(cursors)
    for shard, run in groupby(events, attrgetter("shard")):
        shown = list(run)
        ends[shard] = shown[-1].sequence
        if len(shown) >= rows_per_shard or sum(len(event.data) for event in shown) >= bytes_per_shard:
            del ends[shard]
    return ends


def note(shards: Mapping[int, HeldShard], look: Look, ends: Mapping[int, int]) -> None:
    """Remember that *look* showed all of the shards in *ends*, up to there; one that is held no longer is left out."""
    for shard in ends.keys() & shards.keys():
        shards[shard].seen = Seen(ends[shard], look.read_at)


def published(shards: Mapping[int, HeldShard]) -> list[Watermark]:
    """Return what can be told of *shards*: where all that was seen is acknowledged."""
    return [
        Watermark(shard=shard, seq=held.seen.sequence, read_at=held.seen.read_at)
        for shard, held in shards.items()
        if held.seen is not None and held.seen.sequence <= held.published.sequence
    ]


class WatermarkWriter:
    """Writes what can be told of a relay's shards, as often as *settings* say, with a producer of its own."""

    def __init__(self, settings: RelaySettings, metrics: RelayMetrics) -> None:
        self._settings = settings
        self._every_s = inf if settings.watermarks is None else settings.watermarks.every_s
        self._metrics = metrics
        self._producer: AIOKafkaProducer | None = None
        self._writing: asyncio.Task[None] | None = None
        self._told_s = -inf

    async def counts_until_s(self, barrier: Barrier | None) -> float:
        """Return until when, by this process's clock, a look must have ended to be told of; minus infinity for none.

        A commit that waits for a standby is not visible, for however long that is away: where there is one, its
        *barrier* is passed first, each time that it is time to tell.
        """
        if self._settings.watermarks is None:
            return -inf
        if barrier is None:
            return inf
        began_s = monotonic_s()
        try:
            if not self._is_due:
                return -inf
            await barrier.passed(BARRIER_S)
        except Unavailable:
            self._told_s = monotonic_s()
            return -inf
        return began_s + LOOK_S

    def write(self, shards: Mapping[int, HeldShard]) -> None:
        """Begin to write what can be told of *shards*, where it is time and nothing else is being written."""
        if self._settings.watermarks is None or not self._is_due:
            return
        told = published(shards)
        if told and (self._writing is None or self._writing.done()):
            self._told_s = monotonic_s()
            self._writing = asyncio.create_task(self._write(self._settings.watermarks.topic, told))

    async def close(self) -> None:
        """Close the producer; what is still being written is given up."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        await self._discard()

    @property
    def _is_due(self) -> bool:
        return monotonic_s() - self._told_s >= self._every_s

    async def _write(self, topic: str, watermarks: Sequence[Watermark]) -> None:
        try:
            async with asyncio.timeout(WRITE_S):
                await self._send(topic, watermarks)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._failed(error)
        except asyncio.CancelledError as error:
            # A future of the client's own may be cancelled, which is not a cancellation of ours.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            await self._failed(error)
        else:
            self._metrics.watermarks_written(len(watermarks))

    async def _failed(self, error: BaseException) -> None:
        self._metrics.watermarks_failed(type(error).__name__)
        _log.warning("relay.watermarks_failed", error=type(error).__name__)
        await self._discard()

    async def _send(self, topic: str, watermarks: Sequence[Watermark]) -> None:
        if self._producer is None:
            self._producer = new_producer(self._settings.publisher)
            await self._producer.start()
        batch = self._producer.create_batch()
        for watermark in watermarks:
            key, value = to_record(watermark)
            appended = batch.append(key=key, value=value, timestamp=None)
            assert appended is not None, "one for each shard is far less than a batch may hold"
        batch.close()
        await (await self._producer.send_batch(batch, topic, partition=PARTITION))

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.wait({asyncio.ensure_future(dispose(producer))}, timeout=STOP_TIMEOUT_S)
