"""A consumer on a topic and a database of a test, with a projection that records what it was given."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.events import parse_data
from servicekit.brokers import Brokers
from servicekit.consumer import checkpoints, operations
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.projection import ProjectionError
from servicekit.consumer.runner import ConsumerRunner
from servicekit.consumer.settings import ConsumerSettings
from servicekit.failures import Failure, Unavailable
from servicekit.postgres import Pool, Transaction
from servicekit.telemetry import Tracing
from testkit.events import publish

PARTITIONS = 2


@dataclass
class Probe:
    """A projection of which every row is an applied event; it fails or waits where a test wants it to.

    It can take *events_max* at once. *mended* are events by sequence, as a mended release would read what the topic has
    there.
    """

    topic: str
    name: str = "probe"
    crash_on: set[int] = field(default_factory=set)
    events_max: int = 1_000_000
    mended: dict[int, Envelope] = field(default_factory=dict)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    pass_on: asyncio.Event | None = None

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        self.entered.set()
        if self.pass_on is not None:
            await self.pass_on.wait()
        if len(events) > self.events_max:
            raise Unavailable("too much for one transaction", failure=Failure.RESOURCES)
        for given in events:
            event = self.mended.get(given.sequence, given)
            parse_data(event.type, event.data)
            if event.sequence in self.crash_on:
                raise ZeroDivisionError(event.sequence)
            newest = await tx.connection.fetchval(
                "select coalesce(max(version), 0) from probe.applied where wallet_id = $1", event.subject
            )
            if event.wallet_version != newest + 1:
                raise ProjectionError(f"version {event.wallet_version} does not follow {newest}")
            await tx.connection.execute(
                "insert into probe.applied values ($1, $2, $3, $4)",
                event.subject,
                event.wallet_version,
                event.shard,
                event.sequence,
            )


@dataclass
class Bench:
    """Where probes are run; *pool* is of a database with the consumer's tables and the probe's."""

    pool: Pool
    bootstrap: str
    topic: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def runner(
        self,
        probe: Probe,
        *,
        registry: CollectorRegistry | None = None,
        tracing: Tracing | None = None,
        watermarks_topic: str | None = None,
        runner_class: type[ConsumerRunner] = ConsumerRunner,
    ) -> ConsumerRunner:
        """Return a consumer for *probe*, with the bench's registry unless it is given another."""
        return runner_class(
            ConsumerSettings(
                brokers=Brokers(self.bootstrap),
                client_id=probe.name,
                watermarks_topic=watermarks_topic,
                session_timeout_ms=6_000,
                housekeeping_every_s=0.05,
                backoff_s_max=0.5,
            ),
            projection=probe,
            pool=self.pool,
            metrics=ConsumerMetrics(ConsumerFamilies(registry or self.registry), probe.name),
            tracing=tracing or Tracing("test", 0.0),
            jitter=random.Random(1),  # noqa: S311  the same in every run
        )

    def processor(self, probe: Probe) -> Processor:
        """Return what a consumer of *probe* does with the records of a poll."""
        return Processor(probe, self.pool, ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), probe.name))

    async def publish(self, events: Sequence[Envelope]) -> None:
        """Publish *events* in their order."""
        await publish(self.bootstrap, self.topic, PARTITIONS, events)

    async def applied(self) -> dict[int, list[int]]:
        """Return the applied sequences per shard."""
        async with self.pool.connection() as connection:
            rows = await connection.fetch(
                "select shard, array_agg(seq order by seq) as s from probe.applied group by 1"
            )
        return {row["shard"]: row["s"] for row in rows}

    async def reached(self, projection: str = "probe") -> dict[int, int]:
        """Return the last sequence per shard that the checkpoints have."""
        async with self.pool.connection() as connection:
            return {s: p.last_seq for s, p in (await checkpoints.progress(connection, projection)).items()}

    async def has_reached(self, wanted: dict[int, int]) -> bool:
        """Return whether the checkpoints are at *wanted*."""
        return await self.reached() == wanted

    async def stopped(self) -> dict[int, str | None]:
        """Return per shard why it is stopped, None if it goes on."""
        async with self.pool.connection() as connection:
            return {row.shard: row.stopped for row in await operations.status(connection, "probe")}

    async def parked(self) -> list[operations.ParkedSubject]:
        """Return the parked subjects."""
        async with self.pool.connection() as connection:
            return await operations.parked_subjects(connection, "probe")

    def metric(self, name: str, **labels: str) -> float:
        """Return the sample of the bench's registry, 0 if there is none."""
        return self.registry.get_sample_value(name, {"projection": "probe", **labels}) or 0.0
