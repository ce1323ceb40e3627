"""Consumers with a bug."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from aiokafka import AIOKafkaConsumer
from tests.chaos.platform.gate import Gate

from servicekit.consumer import checkpoints
from servicekit.consumer.applying import Applier
from servicekit.consumer.gaps import LookAgain
from servicekit.consumer.processing import Processor
from servicekit.consumer.records import Received
from servicekit.consumer.runner import ConsumerRunner
from servicekit.consumer.sequencing import sequence
from servicekit.consumer.settings import ConsumerSettings

SESSION_TIMEOUT_MS = 6_000
"""The shortest that a broker grants: a killed process is to be replaced soon."""


class UndedupedProcessor(Processor):
    """Applies whatever comes, and compares it with no checkpoint."""

    async def process(self, received: Sequence[Received]) -> list[LookAgain]:
        name = self._projection.name
        async with self._pool.transaction() as tx:
            held = await checkpoints.lock(tx, name, {record.shard: record.partition for record in received})
            await Applier(tx, self._projection, carefully=True).apply(received)
            for record in received:
                checkpoint = held[record.shard]
                if record.sequence > checkpoint.last_seq:
                    checkpoint.last_seq, checkpoint.last_event_id = record.sequence, record.event_id
                    checkpoint.partition, checkpoint.offset = record.partition, record.offset + 1
            await checkpoints.store(tx, name, list(held.values()))
        return []


class EarlyCheckpointProcessor(Processor):
    """Moves the checkpoints in a transaction of their own, then applies. Asks the gate between (`checkpoint_moved`)."""

    async def process(self, received: Sequence[Received]) -> list[LookAgain]:
        name = self._projection.name
        async with self._pool.transaction() as tx:
            held = await checkpoints.lock(tx, name, {record.shard: record.partition for record in received})
            plan = sequence(held, received)
            await checkpoints.store(tx, name, list(held.values()))
        await Gate.of_process().reach("checkpoint_moved", {"records": len(plan.fresh)})
        if plan.fresh:
            async with self._pool.transaction() as tx:
                await Applier(tx, self._projection, carefully=True).apply(plan.fresh)
        return []


class _Runner(ConsumerRunner):
    """Has a processor with a bug."""

    processor_class: ClassVar[type[Processor]] = Processor

    def __init__(self, settings: ConsumerSettings, **parts: Any) -> None:
        super().__init__(replace(settings, session_timeout_ms=SESSION_TIMEOUT_MS), **parts)
        self._processor = self.processor_class(self._projection, self._pool, self._metrics)


class UndedupedRunner(_Runner):
    processor_class = UndedupedProcessor


class EarlyCheckpointRunner(_Runner):
    processor_class = EarlyCheckpointProcessor


class EarlyOffsetRunner(_Runner):
    """Tells the broker of a poll before it is applied. Asks the gate between (`offset_committed`)."""

    async def _round(self, consumer: AIOKafkaConsumer, batch: Any) -> Any:
        if batch.received:
            await consumer.commit({partition: records[-1].offset + 1 for partition, records in batch.poll.items()})
            await Gate.of_process().reach("offset_committed", {"records": len(batch.received)})
        return await super()._round(consumer, batch)
