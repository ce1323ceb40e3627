"""A relay on a journal, a broker and a topic of a test."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope, from_record
from contracts.events import FUNDS_DEPOSITED
from contracts.ids import new_id
from contracts.registry import TYPES_BY_NUMBER
from servicekit.brokers import Brokers
from servicekit.postgres import Pool
from servicekit.relay.journal import SqlJournal
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.publisher import Publisher
from servicekit.relay.relay import Relay
from servicekit.relay.settings import LEASE_S, PublisherSettings, RelaySettings, WatermarkSettings

PARTITIONS = 4
TENANT = UUID("01890000-0000-7000-8000-000000000001")


_NOW: Final = timedelta()


@dataclass
class Bench:
    """What a test of the relay works with; *pool* is of a database with the relay's tables and a journal `outbox`."""

    pool: Pool
    bootstrap: str
    topic: str
    registries: list[CollectorRegistry] = field(default_factory=list)

    def relay(
        self,
        owner: str,
        *,
        lease_s: float = LEASE_S,
        relay_class: type[Relay] = Relay,
        publisher_class: type[Publisher] = Publisher,
        watermarks: WatermarkSettings | None = None,
        rows_per_shard_max: int = 1_000,
    ) -> Relay:
        """Return a relay with a registry of its own."""
        registry = CollectorRegistry()
        self.registries.append(registry)
        metrics = RelayMetrics(registry)
        settings = PublisherSettings(
            brokers=Brokers(self.bootstrap), topic=self.topic, client_id=owner, schema_base="https://example/schemas/"
        )
        return relay_class(
            RelaySettings(
                publisher=settings, lease_s=lease_s, watermarks=watermarks, rows_per_shard_max=rows_per_shard_max
            ),
            owner=owner,
            pool=self.pool,
            journal=SqlJournal(table="outbox.journal", types=TYPES_BY_NUMBER, source="/outbox"),
            publisher=publisher_class(settings, metrics),
            metrics=metrics,
            jitter=random.Random(1),  # noqa: S311  the same in every run
        )

    def metric(self, name: str, instance: int = 0) -> float:
        """Return a sample of the relay's metrics, 0 if there is none."""
        return self.registries[instance].get_sample_value(name) or 0.0

    async def has_published(self, records: int, instance: int = 0) -> bool:
        """Return whether a relay has published as many *records*."""
        return self.metric("relay_published_total", instance) >= records

    async def write(
        self, shards: Iterable[int], first: int, last: int, *, body: bytes = b"{}", ahead: timedelta = _NOW
    ) -> None:
        """Write sequences *first* to *last* of each shard, of events that are *ahead* of the clock."""
        async with self.pool.connection() as connection:
            for shard in shards:
                wallet = UUID(int=(new_id().int & ~63) | shard)
                await connection.execute(
                    """insert into outbox.journal (shard, seq, tenant_id, subject, version, transaction_id,
                                                   entry_index, entry_count, type, payload, occurred_at)
                       select $1, seq, $2, $3, seq, uuidv7(), 0, 2, $4, $7, clock_timestamp() + $8::interval
                       from generate_series($5::bigint, $6::bigint) as seq""",
                    shard,
                    TENANT,
                    wallet,
                    FUNDS_DEPOSITED.number,
                    first,
                    last,
                    body,
                    ahead,
                )

    async def has_cursors(self, wanted: dict[int, int]) -> bool:
        """Return whether the cursors that have moved are at *wanted*."""
        return await self.cursors() == wanted

    async def cursors(self) -> dict[int, int]:
        """Return the cursors that have moved, by shard."""
        async with self.pool.connection() as connection:
            rows = await connection.fetch("select shard, cursor from servicekit.relay_lease where cursor > 0")
        return {row["shard"]: row["cursor"] for row in rows}

    async def owners(self) -> dict[str | None, int]:
        """Return how many shards each owner has."""
        async with self.pool.connection() as connection:
            rows = await connection.fetch(
                "select split_part(owner, '#', 1) as owner, count(*) as shards from servicekit.relay_lease group by 1"
            )
        return {row["owner"]: row["shards"] for row in rows}

    async def topic_events(self) -> list[tuple[int, Envelope]]:
        """Return (partition, event) of everything in the topic, in order per partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            parts = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
            ends = await consumer.end_offsets(parts)
            consumer.assign(parts)
            for part in parts:
                consumer.seek(part, 0)
            found = []
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for part, records in (await consumer.getmany(timeout_ms=100)).items():
                    found += [(part.partition, from_record(record.headers, record.value)) for record in records]
            return found
        finally:
            await consumer.stop()

    async def first_occurrences(self) -> dict[int, list[int]]:
        """Return, per shard, the sequences in the order in which each was first seen."""
        seen: dict[int, dict[int, None]] = {}
        for _, event in await self.topic_events():
            seen.setdefault(event.shard, {}).setdefault(event.sequence)
        return {shard: list(sequences) for shard, sequences in seen.items()}
