"""Publishing to Kafka, fail-stop: after any error the producer is thrown away.

An idempotent aiokafka producer that loses a batch has burnt its sequence numbers, and every later send fails; nothing
but a new producer helps. What it may still have delivered is a repeat, which consumers expect.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from contracts.envelope import Envelope, to_headers
from contracts.ids import partition_of
from servicekit.clock import monotonic_s, utc_now
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.settings import PublisherSettings

START_TIMEOUT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_MS: Final = 3_000  # an unanswered request fails well before a send's deadline
BATCH_BYTES: Final = 512 * 1024  # before compression; the broker refuses more than 1 MiB after it
PATIENCE_S: Final = 1.0
"""How long the other partitions of a call wait for one that is slow to acknowledge."""
RECORDS_PER_PRODUCER_MAX: Final = 1 << 30  # sequence numbers wrap at 2^31: replaced long before


class PublishError(Exception):
    """The broker failed: some records may not be published, and the producer is gone; the next call makes a new one.

    *kind* is the error's class, of few values.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind)
        self.kind = kind


@dataclass(slots=True, eq=False)
class Sending:
    """What goes to one partition: *events* in their order, of which the first *acknowledged* are published.

    *error* says why the rest is not, once that is known: the error's class, of few values.
    """

    partition: int
    events: Sequence[Envelope]
    acknowledged: int = 0
    error: str | None = None
    _batches: list[tuple[int, int]] = field(default_factory=list)  # index of the first event, its offset

    @property
    def published(self) -> Sequence[Envelope]:
        """The events that are acknowledged."""
        return self.events[: self.acknowledged]

    def has_acknowledged(self, up_to: int, base_offset: int) -> None:
        """Note the next batch: the events before index *up_to*, from *base_offset* on."""
        self._batches.append((self.acknowledged, base_offset))
        self.acknowledged = up_to

    def offset_of(self, index: int) -> int:
        """Return the offset of the acknowledged event at *index*."""
        first, base_offset = next(batch for batch in reversed(self._batches) if batch[0] <= index)
        return base_offset + index - first


class Publisher:
    """A producer with explicit partitions and acks from all replicas, replaced after errors and by count."""

    def __init__(self, settings: PublisherSettings, metrics: RelayMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 0
        self._records = 0
        self._discards: set[asyncio.Task[None]] = set()
        self._trailing: dict[asyncio.Task[None], Sending] = {}

    async def publish(self, events: Iterable[Envelope], *, timeout_s: float) -> None:
        """Publish *events* to their shards' partitions, in their order per shard; all are acknowledged on return.

        Raises PublishError; then any of them may or may not have been published.
        """
        for sending in await self.send(events, timeout_s=timeout_s, patience_s=timeout_s):
            if sending.acknowledged < len(sending.events):
                raise PublishError(sending.error or TimeoutError.__name__)

    async def send(
        self,
        events: Iterable[Envelope],
        *,
        timeout_s: float,
        patience_s: float = PATIENCE_S,
        on_trial: Collection[int] = (),
    ) -> list[Sending]:
        """Send *events* to their shards' partitions, in their order per shard; return the outcome of each partition's.

        What a partition acknowledged stays published whatever becomes of the others. A partition that has not ended
        within *patience_s*, and those *on_trial* from the start, go on by themselves until *timeout_s*: `trailing`
        names them and `ended` gives them; meanwhile nothing else is to be sent there. Raises PublishError if no
        producer can be had for the others.
        """
        if not self._partitions:
            await self.partitions()
        by_partition = self._by_partition(events)
        tried = [Sending(number, by_partition.pop(number)) for number in on_trial if number in by_partition]
        if tried:
            self._try_apart(tried, timeout_s)
        sendings = [Sending(partition, records) for partition, records in by_partition.items()]
        return await self._send_all(sendings, timeout_s, patience_s) if sendings else []

    @property
    def trailing(self) -> set[int]:
        """The partitions that something is still on its way to."""
        return {sending.partition for sending in self._trailing.values()}

    def ended(self) -> list[Sending]:
        """Return what was trailing and has ended since the last call."""
        done = [task for task in self._trailing if task.done()]
        for task in done:
            task.result()
        return [self._trailing.pop(task) for task in done]

    async def partitions(self) -> int:
        """Return how many partitions the topic has; raises PublishError if the broker does not answer."""
        try:
            await self._ready_producer()
        except (KafkaError, OSError, TimeoutError) as error:
            self._discard()
            raise PublishError(_describe(error)) from error
        return self._partitions

    async def close(self) -> None:
        """Close the producers; what is still on its way is given up."""
        for task in self._trailing:
            task.cancel()
        self._trailing.clear()
        self._discard()
        if self._discards:
            await asyncio.wait(self._discards, timeout=STOP_TIMEOUT_S)

    def _by_partition(self, events: Iterable[Envelope]) -> dict[int, list[Envelope]]:
        partitions: dict[int, list[Envelope]] = {}
        for event in events:
            partitions.setdefault(partition_of(event.shard, self._partitions), []).append(event)
        return partitions

    async def _send_all(self, sendings: list[Sending], timeout_s: float, patience_s: float) -> list[Sending]:
        try:
            async with asyncio.timeout(timeout_s):
                producer = await self._ready_producer()
        except (KafkaError, OSError, TimeoutError) as error:
            self._discard()
            raise PublishError(_describe(error)) from error
        tasks = {asyncio.create_task(self._deliver(producer, each, timeout_s)): each for each in sendings}
        try:
            _, late = await asyncio.wait(tasks, timeout=min(patience_s, timeout_s))
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            self._discard()
            raise
        for task in tasks.keys() - late:
            task.result()
        self._records += sum(sending.acknowledged for sending in sendings)
        if late:
            self._producer = None
            self._trail({task: tasks[task] for task in late}, producer)
        elif any(sending.error for sending in sendings) or self._records >= RECORDS_PER_PRODUCER_MAX:
            self._discard()
        return [sending for task, sending in tasks.items() if task not in late]

    def _trail(self, late: Mapping["asyncio.Task[None]", Sending], producer: AIOKafkaProducer) -> None:
        """Let *late* end by themselves, and *producer*, which is for nothing else any more, with them."""
        self._trailing.update(late)

        async def see_off() -> None:
            await asyncio.wait(late)
            await dispose(producer)

        self._keep(asyncio.ensure_future(see_off()))

    def _try_apart(self, sendings: list[Sending], timeout_s: float) -> None:
        """Send *sendings* with a producer of their own, in nobody's way."""
        producer = self._new_producer()
        starting = asyncio.ensure_future(_start(producer, timeout_s))

        async def deliver(sending: Sending) -> None:
            began_s = monotonic_s()
            sending.error = await asyncio.shield(starting)
            if sending.error is None:
                await self._deliver(producer, sending, timeout_s - (monotonic_s() - began_s))

        self._trail({asyncio.ensure_future(deliver(each)): each for each in sendings}, producer)

    async def _deliver(self, producer: AIOKafkaProducer, sending: Sending, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(producer, sending)
        except (KafkaError, OSError, TimeoutError) as error:
            sending.error = _describe(error)
        except asyncio.CancelledError as error:
            # A future of the client's own may be cancelled, which is not a cancellation of ours.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            sending.error = _describe(error)

    async def _ready_producer(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        producer = self._producer = self._new_producer()
        self._records = 0
        async with asyncio.timeout(START_TIMEOUT_S):
            await producer.start()
            self._partitions = len(await producer.partitions_for(self._settings.topic))
        return producer

    def _new_producer(self) -> AIOKafkaProducer:
        self._metrics.producer_made()
        return new_producer(self._settings)

    async def _send(self, producer: AIOKafkaProducer, sending: Sending) -> None:
        # Each batch is acknowledged before the next is handed over: a broker accepts any first sequence number from a
        # new producer, so a second batch could otherwise land although the first was lost.
        while sending.acknowledged < len(sending.events):
            batch = producer.create_batch()
            position = self._fill(batch, sending.events, sending.acknowledged)
            batch.close()
            delivery = await producer.send_batch(batch, self._settings.topic, partition=sending.partition)
            metadata = await delivery
            sending.has_acknowledged(position, metadata.offset)
            await asyncio.sleep(0)

    def _fill(self, batch: Any, events: Sequence[Envelope], position: int) -> int:
        schema_base, now_ms = self._settings.schema_base, _ms(utc_now())
        while position < len(events):
            event = events[position]
            appended = batch.append(
                # A broker takes none that is far ahead of its clock: an event that is would hold its partition.
                timestamp=min(_ms(event.time), now_ms),
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
            self._keep(asyncio.ensure_future(dispose(producer)))

    def _keep(self, ending: "asyncio.Task[None]") -> None:
        self._discards.add(ending)
        ending.add_done_callback(self._discards.discard)


def _ms(at: datetime) -> int:
    """Return *at* in milliseconds since 1970, as records have it."""
    return int(at.timestamp() * 1000)


def new_producer(settings: PublisherSettings) -> AIOKafkaProducer:
    """Return a producer that is not started yet; it ends by `dispose`."""
    return AIOKafkaProducer(
        **settings.brokers.client(),
        client_id=settings.client_id,
        enable_idempotence=True,
        acks="all",
        compression_type=settings.compression,
        max_batch_size=BATCH_BYTES,
        linger_ms=0,  # batches are built whole before they are handed over
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )


async def _start(producer: AIOKafkaProducer, timeout_s: float) -> str | None:
    """Start *producer*; return why it could not be."""
    try:
        async with asyncio.timeout(min(START_TIMEOUT_S, timeout_s)):
            await producer.start()
    except (KafkaError, OSError, TimeoutError) as error:
        return _describe(error)
    return None


async def dispose(producer: AIOKafkaProducer) -> None:
    """Close *producer* without waiting for what it could not deliver, as `stop` alone would, without end."""
    with suppress(KafkaError, OSError, asyncio.CancelledError):
        await producer._sender.close()  # noqa: SLF001  no public call ends an idempotent producer without its broker
    undelivered = producer._message_accumulator  # noqa: SLF001  `stop` would wait for these batches without end
    undelivered._batches.clear()  # noqa: SLF001  see above
    undelivered._pending_batches.clear()  # noqa: SLF001  see above
    with suppress(KafkaError, OSError):
        await producer.stop()


def _describe(error: BaseException) -> str:
    return type(error).__name__
