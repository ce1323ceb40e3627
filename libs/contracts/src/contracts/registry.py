"""The registry: every stream and every published event type."""

from typing import Any, Final

from contracts.access import ACCESS_STREAM
from contracts.decisions import DECISION_STREAM
from contracts.event_types import EventStream, EventType
from contracts.events import WALLET_STREAM
from contracts.history import HISTORY_STREAM
from contracts.notices import NOTICE_STREAM

STREAMS: Final[tuple[EventStream[Any], ...]] = (
    WALLET_STREAM,
    DECISION_STREAM,
    NOTICE_STREAM,
    ACCESS_STREAM,
    HISTORY_STREAM,
)

PUBLISHED_TYPES: Final[dict[str, EventType]] = {
    event_type.name: event_type for stream in STREAMS for event_type in stream.types.values()
}
"""Every published type of every topic by name."""

TYPES_BY_NUMBER: Final[dict[int, EventType]] = {
    event_type.number: event_type for event_type in PUBLISHED_TYPES.values()
}
