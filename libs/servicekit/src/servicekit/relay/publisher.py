"""Publishing to Kafka, fail-stop: after any error the producer is thrown away.

An idempotent aiokafka producer that loses a batch has burnt its sequence numbers, and every later send fails; nothing
but a new producer helps. What it may still have delivered is a repeat, which consumers expect.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from contracts.envelope import Envelope, to_headers
from contracts.ids import partition_of
from servicekit.relay.metrics import RelayMetrics

START_TIMEOUT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_MS: Final = 3_000  # an unanswered request fails well before a send's deadline
BATCH_BYTES: Final = 512 * 1024  # before compression; the broker refuses more than 1 MiB after it
RECORDS_PER_PRODUCER_MAX: Final = 1 << 30  # sequence numbers wrap at 2^31: replaced long before


class PublishError(Exception):
    """The broker failed: some records may not be published, and the producer is gone; the next call makes a new one.

    *kind* is the error's class, of few values.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """Where and how records are published. *schema_base* is the URL below which each type's schema is served."""

    bootstrap_servers: str
    topic: str
    client_id: str
    schema_base: str
    compression: str = "lz4"


class Publisher:
    """A producer with explicit partitions and acks from all replicas, replaced after errors and by count."""

    def __init__(self, settings: PublisherSettings, metrics: RelayMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 0
        self._records = 0
        self._discards: set[asyncio.Task[None]] = set()

    async def publish(self, events: Iterable[Envelope], *, timeout_s: float) -> None:
        """Publish *events* to their shards' partitions, in their order per shard; all are acknowledged on return.

        Raises PublishError; then any of them may or may not have been published.
        """
        try:
            async with asyncio.timeout(timeout_s):
                producer = await self._ready_producer()
                by_partition = self._by_partition(events)
                async with asyncio.TaskGroup() as sends:
                    for partition, records in by_partition.items():
                        sends.create_task(self._send(producer, partition, records))
        except (KafkaError, OSError, TimeoutError, BaseExceptionGroup) as error:
            self._discard()
            raise PublishError(_describe(error)) from error
        except asyncio.CancelledError:
            self._discard()
            raise
        self._records += sum(map(len, by_partition.values()))
        if self._records >= RECORDS_PER_PRODUCER_MAX:
            self._discard()

    async def partitions(self) -> int:
        """Return how many partitions the topic has; raise PublishError when the broker cannot tell."""
        try:
            await self._ready_producer()
        except (KafkaError, OSError, TimeoutError) as error:
            self._discard()
            raise PublishError(_describe(error)) from error
        return self._partitions

    async def close(self) -> None:
        """Close the producer; nothing is on its way when no `publish` runs."""
        if self._producer is not None:
            self._discard()
        if self._discards:
            await asyncio.wait(self._discards, timeout=STOP_TIMEOUT_S)

    def _by_partition(self, events: Iterable[Envelope]) -> Mapping[int, list[Envelope]]:
        partitions: dict[int, list[Envelope]] = {}
        for event in events:
            partitions.setdefault(partition_of(event.shard, self._partitions), []).append(event)
        return partitions

    async def _ready_producer(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=self._settings.client_id,
            enable_idempotence=True,
            acks="all",
            compression_type=self._settings.compression,
            max_batch_size=BATCH_BYTES,
            linger_ms=0,  # batches are built whole before they are handed over
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        self._producer = producer
        self._records = 0
        self._metrics.producer_made()
        async with asyncio.timeout(START_TIMEOUT_S):
            await producer.start()
            self._partitions = len(await producer.partitions_for(self._settings.topic))
        return producer

    async def _send(self, producer: AIOKafkaProducer, partition: int, events: Sequence[Envelope]) -> None:
        # Each batch is acknowledged before the next is handed over: a broker accepts any first sequence number from a
        # new producer, so a second batch could otherwise land although the first was lost.
        position = 0
        while position < len(events):
            batch = producer.create_batch()
            position = self._fill(batch, events, position)
            batch.close()
            delivery = await producer.send_batch(batch, self._settings.topic, partition=partition)
            await delivery
            await asyncio.sleep(0)

    def _fill(self, batch: Any, events: Sequence[Envelope], position: int) -> int:
        schema_base = self._settings.schema_base
        while position < len(events):
            event = events[position]
            appended = batch.append(
                timestamp=int(event.time.timestamp() * 1000),
                key=str(event.subject).encode(),
                value=event.data,
                headers=to_headers(event, schema_base=schema_base),
            )
            if appended is None:
                break
            position += 1
        return position

    def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            task = asyncio.ensure_future(_dispose(producer))
            self._discards.add(task)
            task.add_done_callback(self._discards.discard)


async def _dispose(producer: AIOKafkaProducer) -> None:
    """Close *producer* without waiting for what it could not deliver, as `stop` alone would, for ever."""
    with suppress(KafkaError, OSError, asyncio.CancelledError):
        await producer._sender.close()  # noqa: SLF001  no public call ends an idempotent producer without its broker
    undelivered = producer._message_accumulator  # noqa: SLF001  `stop` would wait for these batches for ever
    undelivered._batches.clear()  # noqa: SLF001  see above
    undelivered._pending_batches.clear()  # noqa: SLF001  see above
    with suppress(KafkaError, OSError):
        await producer.stop()


def _describe(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _describe(error.exceptions[0])
    return type(error).__name__
