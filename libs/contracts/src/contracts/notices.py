"""The events of `notifications.events`: deliveries and endpoints that failed or recovered.

The subject of each is the endpoint.
"""

from typing import Final

import msgspec

from contracts.event_types import EventStream, EventType
from contracts.topics import NOTIFICATIONS_EVENTS


class EndpointDisabled(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint gets no more deliveries until somebody resumes it: `gone` (it answered 410) or `failing`."""

    endpoint_id: str
    reason: str


class DeliveryExhausted(msgspec.Struct, frozen=True, kw_only=True):
    """The last attempt of a delivery failed; nothing more is sent unless it is resent or recovered."""

    endpoint_id: str
    delivery_id: str
    event_type: str
    wallet_id: str | None
    attempts: int
    last_status: int | None


ENDPOINT_DISABLED: Final = EventType(11, "notifications.endpoint_disabled.v1", EndpointDisabled)
DELIVERY_EXHAUSTED: Final = EventType(12, "notifications.delivery_exhausted.v1", DeliveryExhausted)

NOTICE_STREAM: Final[EventStream[EndpointDisabled | DeliveryExhausted]] = EventStream(
    NOTIFICATIONS_EVENTS, (ENDPOINT_DISABLED, DELIVERY_EXHAUSTED)
)
