"""What a worker passes on from a delivery's lease to its settlement. Times are aware."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifications.domain.outcomes import AttemptOutcome, Fault, Step
from notifications.endpoints.encryption import EncryptedSecret
from servicekit.outbound.targets import UrlRefusal


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
class AttemptResult:
    """How an attempt went. *error* says why there is no status.

    *duration_ms* is until the status, *held_ms* until the attempt's slot is free again.
    """

    outcome: AttemptOutcome
    duration_ms: int
    status_code: int | None = None
    error: Fault | UrlRefusal | None = None
    response_head: str | None = None
    retry_after_ms: int | None = None
    held_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What is written of an attempt: what becomes of its delivery, which has failed so often in a row by now."""

    step: Step
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """That it was written, when (by the database's clock), and since when the endpoint fails, this attempt counted."""

    at: datetime
    failing_since: datetime | None
