"""The events of `history.events`: jobs that have ended, of which each is its subject, and wallets' statements."""

from typing import Final

import msgspec

from contracts.event_types import EventStream, EventType
from contracts.money import Money
from contracts.topics import HISTORY_EVENTS


class JobFinished(msgspec.Struct, frozen=True, kw_only=True):
    """A job has ended: `succeeded`, `failed` or `cancelled`.

    *kind* is what it was for, such as `export`; *failure* is the code of why it failed. Of a file that it made *rows*,
    *size_bytes* and *sha256* tell; they are null where there is none.
    """

    job_id: str
    kind: str
    status: str
    failure: str | None
    rows: int | None
    size_bytes: int | None
    sha256: str | None


class StatementReady(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's period was closed: its statement *number*, with *entries*, from *opening* to *closing*.

    The period is from the day *period_from* to *period_to*, which is not included; *to_instant* is when that begins.
    """

    statement_id: str
    wallet_id: str
    owner_id: str
    number: int
    period_from: str
    period_to: str
    to_instant: str
    entries: int
    opening: Money
    closing: Money


JOB_FINISHED: Final = EventType(41, "history.job_finished.v1", JobFinished)

STATEMENT_READY: Final = EventType(42, "history.statement_ready.v1", StatementReady)

HISTORY_STREAM: Final[EventStream[JobFinished | StatementReady]] = EventStream(
    HISTORY_EVENTS, (JOB_FINISHED, STATEMENT_READY)
)
