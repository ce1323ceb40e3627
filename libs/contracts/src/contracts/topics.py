"""Kafka topics and how each is laid out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SEGMENT_MS: Final = 300_000
"""Only segments that are closed are compacted: who reads such a topic from its beginning reads minutes of it, not days.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic with its default number of partitions; a retention of -1 keeps records without end.

    Of one that is compacted the broker keeps the last record of each key.
    """

    name: str
    partitions: int
    retention_ms: int = -1
    is_compacted: bool = False

    @property
    def configuration(self) -> Mapping[str, str]:
        """How brokers are told to keep it."""
        if self.is_compacted:
            return {"cleanup.policy": "compact", "segment.ms": str(_SEGMENT_MS)}
        return {"retention.ms": str(self.retention_ms)}


WALLET_EVENTS: Final = Topic(name="wallet.events", partitions=16)
FRAUD_DECISIONS: Final = Topic(name="fraud.decisions", partitions=16)
NOTIFICATIONS_EVENTS: Final = Topic(name="notifications.events", partitions=16)
ACCESS_EVENTS: Final = Topic(name="access.events", partitions=4)
WALLET_WATERMARKS: Final = Topic(name="wallet.watermarks", partitions=1, is_compacted=True)
"""A record a second for each of 64 shards: one partition, which whoever reads it reads whole."""

HISTORY_EVENTS: Final = Topic(name="history.events", partitions=4)

TOPICS: Final = (
    WALLET_EVENTS,
    FRAUD_DECISIONS,
    NOTIFICATIONS_EVENTS,
    ACCESS_EVENTS,
    HISTORY_EVENTS,
    WALLET_WATERMARKS,
)
