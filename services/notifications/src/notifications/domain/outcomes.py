"""How an attempt ended, and what follows from it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from notifications.domain.schedule import retry_delay_ms

OK_MIN: Final = 200
OK_MAX: Final = 299
REDIRECT_MAX: Final = 399
CLIENT_ERROR_MAX: Final = 499
GONE_STATUS: Final = 410


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    UNKNOWN = "unknown"
    """Under way, or its worker ended before it could tell."""
    DELIVERED = "delivered"
    REDIRECTED = "redirected"
    GONE = "gone"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    URL_REFUSED = "url_refused"
    INTERNAL_ERROR = "internal_error"
    """Our own fault; it counts as a failure all the same, so that it comes to an end."""


class Fault(StrEnum):
    """What was wrong where an attempt has no status: its *error*. A refused URL has its UrlRefusal instead."""

    NO_ANSWER_IN_TIME = "no_answer_in_time"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_FAILED = "connection_failed"
    CERTIFICATE_REFUSED = "certificate_refused"
    TLS_FAILED = "tls_failed"
    CLOSED_WITHOUT_ANSWER = "closed_without_answer"
    NOT_HTTP = "not_http"
    INTERNAL_ERROR = "internal_error"


class EndpointStatus(StrEnum):
    """Whether an endpoint is sent to. A paused one gathers deliveries, a disabled one does not."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class DeliveryStatus(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"


class RefusalCode(StrEnum):
    """Which rule refuses a command. The values are published: clients act on them."""

    ENDPOINT_LIMIT_REACHED = "endpoint_limit_reached"
    ENDPOINT_NOT_ACTIVE = "endpoint_not_active"


class DisabledReason(StrEnum):
    """Why an endpoint was disabled."""

    GONE = "gone"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLater:
    """It failed and is tried again after *delay_ms*."""

    delay_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """It failed for the last time."""


Step = Delivered | RetryLater | Exhausted
"""What becomes of a delivery after an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How failures are answered. *disable_after* is how long an endpoint may fail without one success."""

    delays_ms: Sequence[int]
    disable_after: timedelta


def outcome_of_status(status: int) -> AttemptOutcome:
    """Return what a response's *status* means: only 2xx is a delivery, and a redirect is never followed."""
    if OK_MIN <= status <= OK_MAX:
        return AttemptOutcome.DELIVERED
    if status == GONE_STATUS:
        return AttemptOutcome.GONE
    if OK_MAX < status <= REDIRECT_MAX:
        return AttemptOutcome.REDIRECTED
    return AttemptOutcome.CLIENT_ERROR if REDIRECT_MAX < status <= CLIENT_ERROR_MAX else AttemptOutcome.SERVER_ERROR


def next_step(outcome: AttemptOutcome, *, failures: int, policy: Policy, draw: int, retry_after_ms: int | None) -> Step:
    """Return what becomes of a delivery whose attempt ended so; *failures* counts this one."""
    if outcome is AttemptOutcome.DELIVERED:
        return Delivered()
    delay_ms = retry_delay_ms(policy.delays_ms, failures, draw=draw, retry_after_ms=retry_after_ms)
    return Exhausted() if delay_ms is None else RetryLater(delay_ms=delay_ms)


def disabled_because(
    outcome: AttemptOutcome, *, failing_since: datetime | None, now: datetime, policy: Policy
) -> DisabledReason | None:
    """Return why an endpoint whose attempt ended so is to be disabled, None where it is not."""
    if outcome is AttemptOutcome.GONE:
        return DisabledReason.GONE
    has_failed = outcome is not AttemptOutcome.DELIVERED
    if has_failed and failing_since is not None and now - failing_since >= policy.disable_after:
        return DisabledReason.FAILING
    return None
