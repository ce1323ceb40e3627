"""What becomes of a tenant's jobs: how many there may be, and how a failed attempt is answered."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

RUNNING_MAX: Final = 2
"""Jobs of one tenant under way at a time: one that lasts hours does not hold up the next."""
QUEUED_MAX: Final = 100
"""Jobs of one tenant that wait: more than a day's reports, and little to look through."""
ATTEMPTS_MAX: Final = 5
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (1, 10, 60, 300))
"""Before each further attempt: long enough together for a database or a store to be back."""


class Kind(StrEnum):
    """What jobs are for."""

    EXPORT = "export"
    REPORT = "report"


class JobStatus(StrEnum):
    """Where a job is. An expired one had a file that is not kept any longer."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ENDED: Final = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED})


class Reason(StrEnum):
    """Why an attempt came to nothing."""

    OBJECTS = "object_store"
    DATABASE = "database"
    DISK = "disk"
    BUG = "internal_error"
    WORKER_LOST = "worker_lost"
    """Its workers died, or stood still, every time."""
    TOO_MANY_ROWS = "too_many_rows"
    NOT_COMPLETE = "not_complete"
    """Something that belongs into the file may still come."""


@dataclass(frozen=True, slots=True)
class Again:
    """The job waits for its next attempt."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The job has failed."""

    reason: Reason


def after_failure(reason: Reason, attempts: int) -> Again | GivenUp:
    """Return what follows where attempt number *attempts* of a job failed for *reason*."""
    assert attempts >= 1
    if attempts >= ATTEMPTS_MAX or reason is Reason.TOO_MANY_ROWS:
        return GivenUp(reason)
    return Again(_DELAYS[min(attempts, len(_DELAYS)) - 1])
