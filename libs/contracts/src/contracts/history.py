"""The events of `history.events`: jobs of the history that have ended. The subject of each is the job."""

from typing import Final

import msgspec

from contracts.event_types import EventStream, EventType
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


JOB_FINISHED: Final = EventType(41, "history.job_finished.v1", JobFinished)

HISTORY_STREAM: Final[EventStream[JobFinished]] = EventStream(HISTORY_EVENTS, (JOB_FINISHED,))
