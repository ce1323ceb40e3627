"""Messages and deliveries, as the parts of the service pass them on. Times are aware."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifications.domain.outcomes import AttemptOutcome, DeliveryStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told: *body* is signed and sent as it stands. *wallet_id* is None for a test."""

    id: UUID
    tenant_id: UUID
    type: str
    wallet_id: UUID | None
    body: bytes
    traceparent: str | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A message for an endpoint."""

    id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    message_id: UUID
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message for an endpoint, and how far it has come."""

    id: UUID
    endpoint_id: UUID
    message_id: UUID
    type: str
    wallet_id: UUID | None
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to a receiver."""

    number: int
    started_at: datetime
    outcome: AttemptOutcome
    duration_ms: int | None
    status_code: int | None
    error: str | None
    response_head: str | None
