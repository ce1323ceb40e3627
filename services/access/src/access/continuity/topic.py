"""What the topic has of this service: where it ends, and all of it from its beginning."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from contracts.ids import SHARDS, partition_of
from servicekit.brokers import Brokers
from servicekit.relay.halts import TopicEnd
from servicekit.relay.publisher import PublishError
from servicekit.relay.topic_end import read_topic_ends
from servicekit.relay.topic_positions import PlacedEvent, UnknownTopic, count_partitions, read_events

READ_TIMEOUT_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class AccessTopic:
    """The *topic* that the relay of this service writes."""

    brokers: Brokers
    topic: str

    async def ends(self) -> Sequence[TopicEnd]:
        """Return the last record of each shard near its partition's end; none where there is no such topic yet.

        Raises PublishError where the broker, or a partition alone, cannot be read in time.
        """
        try:
            partitions = await count_partitions(self.brokers, self.topic)
        except UnknownTopic:
            return []
        shards: dict[int, list[int]] = {}
        for shard in range(SHARDS):
            shards.setdefault(partition_of(shard, partitions), []).append(shard)
        found = await read_topic_ends(self.brokers, self.topic, shards)
        if found.unread:
            raise PublishError("Unread")
        return found.ends

    async def events(self) -> AsyncIterator[Sequence[PlacedEvent]]:
        """Give all that is there now, poll by poll; the events of a shard come in its order, some perhaps repeated.

        Raises PublishError where the broker cannot be read, or all of it not within READ_TIMEOUT_S, and UnknownTopic.
        """
        partitions = await count_partitions(self.brokers, self.topic)
        try:
            async with (
                asyncio.timeout(READ_TIMEOUT_S),
                aclosing(read_events(self.brokers, self.topic, partitions)) as polls,
            ):
                async for poll in polls:
                    yield poll
        except TimeoutError as error:
            raise PublishError("TimeoutError") from error
