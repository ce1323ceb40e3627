"""A projection on a topic of its own: events are published to it, and a consumer applies them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from servicekit.consumer import checkpoints
from servicekit.consumer.metrics import ConsumerFamilies
from servicekit.consumer.projection import Projection
from servicekit.consumer.settings import ConsumerSettings
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Pool
from servicekit.service.consuming import make_runner
from servicekit.telemetry import Telemetry, Tracing
from testkit.events import Stream, publish


@dataclass(kw_only=True)
class TopicBench:
    """Publishes to *topic*, which has so many *partitions*, and projects from it through *pool*."""

    consumer: ConsumerSettings
    kafka_bootstrap: str
    topic: str
    partitions: int
    pool: Pool
    stream: Stream = field(default_factory=Stream)

    async def publish(self, events: Sequence[Envelope]) -> None:
        """Publish *events* in their order."""
        await publish(self.kafka_bootstrap, self.topic, self.partitions, events)

    async def reached(self, projection: str) -> dict[int, int]:
        """Return the last sequence applied of each shard."""
        async with self.pool.connection() as connection:
            progress = await checkpoints.progress(connection, projection)
        return {shard: come.last_seq for shard, come in progress.items()}

    async def all_applied(self, events: Sequence[Envelope], projection: str) -> bool:
        """Return whether *events*, and nothing behind them, are applied."""
        wanted: dict[int, int] = {}
        for event in events:
            wanted[event.shard] = max(event.sequence, wanted.get(event.shard, 0))
        return await self.reached(projection) == wanted

    @asynccontextmanager
    async def projecting(self, projection: Projection) -> AsyncIterator[None]:
        """Have a consumer apply the topic's events while the body runs."""
        telemetry = Telemetry("test", "projector", "1", CollectorRegistry(), Tracing("test", 0.0))
        shutdown = Shutdown()
        runner = make_runner(
            self.consumer,
            projection=projection,
            telemetry=telemetry,
            families=ConsumerFamilies(telemetry.registry),
            pool=self.pool,
        )
        task = asyncio.create_task(runner.run(shutdown))
        try:
            yield
        finally:
            shutdown.request()
            await task
