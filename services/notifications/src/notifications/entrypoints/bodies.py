"""What a client is answered."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel

from contracts.envelope import rfc3339
from notifications.deliveries.rows import Attempt, Delivery
from notifications.domain.endpoints import Endpoint
from notifications.domain.messages import TEST_TYPE
from notifications.domain.outcomes import DeliveryStatus
from notifications.domain.signing import webhook_id_of


class EndpointBody(BaseModel):
    """A webhook endpoint. No event types, or no wallets, means all of them.

    *status* is `active`, `paused` or `disabled`; *failing_since* is the first failure after the last success.
    """

    id: str
    url: str
    description: str | None
    event_types: list[str]
    wallet_ids: list[str]
    status: str
    disabled_reason: str | None
    failing_since: str | None
    created_at: str
    updated_at: str


class NewEndpointBody(EndpointBody):
    """A new endpoint with its secret, which is shown here and nowhere else: `null` in a replay."""

    secret: str | None


class EndpointsBody(BaseModel):
    """A page of endpoints, newest first."""

    data: list[EndpointBody]
    next_cursor: str | None


class RotatedBody(BaseModel):
    """A new secret, `null` in a replay; until *previous_expires_at* the one before signs beside it."""

    endpoint_id: str
    secret: str | None
    previous_expires_at: str


class RecoveredBody(BaseModel):
    """How many deliveries are attempted again now; *has_more*: call again."""

    recovered: int
    has_more: bool


class DeliveryBody(BaseModel):
    """A message for an endpoint. *webhook_id* is the same at every attempt.

    *status* is `pending`, `delivered`, `exhausted` or `cancelled`; *next_attempt_at* is null unless it is pending.
    *event_id* and *wallet_id* are null for a test.
    """

    id: str
    webhook_id: str
    endpoint_id: str
    type: str
    event_id: str | None
    wallet_id: str | None
    status: str
    attempt_count: int
    next_attempt_at: str | None
    created_at: str
    delivered_at: str | None


class AttemptBody(BaseModel):
    """One request to the receiver. *error* says why there is no status; *response_head* is the body's beginning."""

    number: int
    started_at: str
    outcome: str
    duration_ms: int | None
    status_code: int | None
    error: str | None
    response_head: str | None


class DeliveryWithAttemptsBody(DeliveryBody):
    """A delivery with its attempts, newest first; the last 50 are kept."""

    attempts: list[AttemptBody]


class DeliveriesBody(BaseModel):
    """A page of deliveries, newest first."""

    data: list[DeliveryBody]
    next_cursor: str | None


def endpoint_body(endpoint: Endpoint) -> EndpointBody:
    """Return *endpoint* as its owner sees it."""
    return EndpointBody(
        id=str(endpoint.id),
        url=endpoint.url,
        description=endpoint.description,
        event_types=list(endpoint.event_types),
        wallet_ids=[str(wallet_id) for wallet_id in endpoint.wallet_ids],
        status=endpoint.status,
        disabled_reason=endpoint.disabled_reason,
        failing_since=_time(endpoint.failing_since),
        created_at=rfc3339(endpoint.created_at),
        updated_at=rfc3339(endpoint.updated_at),
    )


def new_endpoint_body(endpoint: Endpoint, secret: str | None) -> NewEndpointBody:
    """Return *endpoint* with its *secret*, None where it is stored or replayed."""
    return NewEndpointBody(**endpoint_body(endpoint).model_dump(), secret=secret)


def delivery_body(delivery: Delivery) -> DeliveryBody:
    """Return *delivery* as its owner sees it."""
    return DeliveryBody(
        id=str(delivery.id),
        webhook_id=webhook_id_of(delivery.message_id),
        endpoint_id=str(delivery.endpoint_id),
        type=delivery.type,
        event_id=None if delivery.type == TEST_TYPE else str(delivery.message_id),
        wallet_id=None if delivery.wallet_id is None else str(delivery.wallet_id),
        status=delivery.status,
        attempt_count=delivery.attempts,
        next_attempt_at=rfc3339(delivery.next_attempt_at) if delivery.status is DeliveryStatus.PENDING else None,
        created_at=rfc3339(delivery.created_at),
        delivered_at=_time(delivery.delivered_at),
    )


def delivery_with_attempts_body(delivery: Delivery, attempts: Sequence[Attempt]) -> DeliveryWithAttemptsBody:
    """Return *delivery* with its *attempts*."""
    return DeliveryWithAttemptsBody(
        **delivery_body(delivery).model_dump(), attempts=[_attempt_body(attempt) for attempt in attempts]
    )


def _attempt_body(attempt: Attempt) -> AttemptBody:
    return AttemptBody(
        number=attempt.number,
        started_at=rfc3339(attempt.started_at),
        outcome=attempt.outcome,
        duration_ms=attempt.duration_ms,
        status_code=attempt.status_code,
        error=attempt.error,
        response_head=attempt.response_head,
    )


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
