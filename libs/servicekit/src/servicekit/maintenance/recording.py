"""What operators are shown of a job's runs: the last one, written by the process that did it."""

from typing import Final, NamedTuple

from servicekit.clock import monotonic_s
from servicekit.postgres import Connection

EVERY_S: Final = 15.0
"""A job that runs each second is not written down each second."""
_WORD_MAX: Final = 64

_RECORD: Final = """
    update servicekit.maintenance_job
       set ran = greatest(ran, $2), ran_at = clock_timestamp(), outcome = $3, rows = $4, error = $5, instance = $6,
           succeeded_at = case when $3 = 'done' then clock_timestamp() else succeeded_at end
     where name = $1"""


class Ended(NamedTuple):
    """How a run ended: after *rows* rows, and with which *error* where it failed."""

    outcome: str
    rows: int
    error: str | None = None


class Recording:
    """Writes down how runs of *job* end: those asked for, those that end otherwise, and one now and then."""

    def __init__(self, job: str, instance: str) -> None:
        self._job = job
        self._instance = instance
        self._last: str | None = None
        self._last_s = 0.0
        self.ran = 0
        """Up to which of the asked-for runs this process has run the job."""

    def is_due(self, ended: Ended, asked: int) -> bool:
        """Return whether a run that *ended* so, when *asked* were asked for, is to be written down."""
        return asked > self.ran or ended.outcome != self._last or monotonic_s() - self._last_s >= EVERY_S

    async def write(self, connection: Connection, ended: Ended, asked: int) -> None:
        """Write it down."""
        error = None if ended.error is None else ended.error[:_WORD_MAX]
        await connection.execute(_RECORD, self._job, asked, ended.outcome, ended.rows, error, self._instance)

    def written(self, ended: Ended, asked: int) -> None:
        """Tell that it is written down, and committed."""
        self._last, self._last_s, self.ran = ended.outcome, monotonic_s(), asked
