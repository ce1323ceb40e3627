"""The rows of the service, as its parts pass them on. Times are aware."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifications.domain.outcomes import DeliveryStatus, Fault, Outcome
from notifications.domain.targets import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedSecret:
    """A secret as it is stored: encrypted, and bound to its row's *id*."""

    id: UUID
    key_version: int
    ciphertext: bytes


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
    outcome: Outcome
    duration_ms: int | None
    status_code: int | None
    error: str | None
    response_head: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A delivery that this worker may attempt, until another may. *failures* are those before this attempt.

    *is_lagging*: its endpoint failed or was slow when it was taken.
    """

    token: UUID
    delivery_id: UUID
    attempt: int
    failures: int
    tenant_id: UUID
    endpoint_id: UUID
    is_lagging: bool
    url: str
    secrets: tuple[EncryptedSecret, ...]
    message_id: UUID
    type: str
    wallet_id: UUID | None
    body: bytes
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an attempt went. *error* says why there is no status.

    *duration_ms* is until the status, *held_ms* until the attempt's slot is free again.
    """

    outcome: Outcome
    duration_ms: int
    status_code: int | None = None
    error: Fault | Refusal | None = None
    response_head: str | None = None
    retry_after_ms: int | None = None
    held_ms: int = 0
