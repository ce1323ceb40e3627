"""Kafka topics and how each is laid out."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic with its default number of partitions; a retention of -1 keeps records without end."""

    name: str
    partitions: int
    retention_ms: int = -1


WALLET_EVENTS: Final = Topic(name="wallet.events", partitions=16)
FRAUD_DECISIONS: Final = Topic(name="fraud.decisions", partitions=16)
NOTIFICATIONS_EVENTS: Final = Topic(name="notifications.events", partitions=16)
ACCESS_EVENTS: Final = Topic(name="access.events", partitions=4)
HISTORY_EVENTS: Final = Topic(name="history.events", partitions=4)

TOPICS: Final = (WALLET_EVENTS, FRAUD_DECISIONS, NOTIFICATIONS_EVENTS, ACCESS_EVENTS, HISTORY_EVENTS)
