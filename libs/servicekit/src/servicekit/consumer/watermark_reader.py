"""Reading a topic of watermarks beside a projection: all of it, outside of any group, while the process lives."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.envelope import rfc3339
from contracts.watermarks import WatermarkError, from_record
from servicekit.consumer import checkpoints, watermarks
from servicekit.consumer.checkpoints import Progress
from servicekit.consumer.client import require_at_work, start_client, stop_client
from servicekit.consumer.settings import ConsumerSettings
from servicekit.consumer.watermarks import Watermarks
from servicekit.health import Check
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Connection

_log = structlog.get_logger(__name__)

POLL_MS: Final = 1_000
RECORDS_PER_POLL_MAX: Final = 2_000
BROKER_TIMEOUT_S: Final = 10.0
PARTITION: Final = 0


class WatermarkReader:
    """What is known of the topic that *settings* name; nothing where they name none, or the brokers have none."""

    def __init__(self, settings: ConsumerSettings, projection: str, jitter: random.Random) -> None:
        self._settings = settings
        self._projection = projection
        self._jitter = jitter
        self._watermarks = Watermarks()
        self.complete_until: datetime | None = None

    def check(self) -> Mapping[str, Check]:
        """Return, for a deep look, up to when what this process has applied is complete."""
        if self._settings.watermarks_topic is None:
            return {}
        until = self.complete_until
        return {"watermarks": Check(ok=True, detail=f"complete until {rfc3339(until)}" if until else "none covered")}

    @asynccontextmanager
    async def reading(self, shutdown: Shutdown) -> AsyncIterator[None]:
        """Read while the body runs. Brokers that are away, or have no such topic, are asked again and again."""
        topic = self._settings.watermarks_topic
        if topic is None:
            yield
            return
        task = asyncio.create_task(self._read(topic, shutdown))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def keep(self, connection: Connection, shards: Collection[int]) -> dict[int, Progress]:
        """Store what is known of *shards*, which this process reads; return how far it is in each of them."""
        progress = await checkpoints.progress(connection, self._projection)
        applied = {shard: reached.last_seq for shard, reached in progress.items()}
        kept = self._watermarks.keep(applied, shards)
        if kept:
            await watermarks.store(connection, self._projection, kept)
        reads = {each.shard: each.covered.read_at for each in kept if each.covered is not None}
        self.complete_until = watermarks.complete_until([reads.get(shard) for shard in shards])
        return {shard: reached for shard, reached in progress.items() if shard in shards}

    async def _read(self, topic: str, shutdown: Shutdown) -> None:
        while not shutdown.is_requested:
            try:
                await self._follow(topic, shutdown)
            except Exception as error:  # noqa: BLE001  whatever it is, the projection goes on without
                _log.warning("consumer.watermarks_not_read", projection=self._projection, error=type(error).__name__)
                await self._pause(shutdown)

    async def _follow(self, topic: str, shutdown: Shutdown) -> None:
        """Read *topic* from its beginning until the end is requested."""
        part = TopicPartition(topic, PARTITION)
        consumer = AIOKafkaConsumer(
            **self._settings.brokers.client(),
            client_id=f"{self._settings.client_id}-watermarks",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await start_client(consumer, shutdown)
            if not await self._finds(topic, consumer, shutdown):
                return
            async with asyncio.timeout(BROKER_TIMEOUT_S):
                begin = (await consumer.beginning_offsets([part]))[part]
            # Nothing is awaited between assigning and seeking, or the client would look for a position of its own.
            consumer.assign([part])
            consumer.seek(part, begin)
            while not shutdown.is_requested:
                require_at_work(consumer)
                polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_PER_POLL_MAX)
                for record in polled.get(part, ()):
                    with suppress(WatermarkError):
                        self._watermarks.note(from_record(record.value))
        finally:
            await stop_client(consumer)

    async def _finds(self, topic: str, consumer: AIOKafkaConsumer, shutdown: Shutdown) -> bool:
        """Wait until the brokers have *topic*; return whether they do before the end is requested.

        Asked for by name, a broker that makes topics by itself would make it.
        """
        is_told = False
        while not shutdown.is_requested:
            async with asyncio.timeout(BROKER_TIMEOUT_S):
                if topic in await consumer.topics():
                    return True
            if not is_told:
                _log.warning("consumer.no_watermarks", projection=self._projection, topic=topic)
                is_told = True
            await self._pause(shutdown)
        return False

    async def _pause(self, shutdown: Shutdown) -> None:
        await shutdown.sleep(self._settings.backoff_s_max * self._jitter.uniform(0.5, 1.0))
