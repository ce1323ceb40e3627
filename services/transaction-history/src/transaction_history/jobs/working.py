"""What a job's work is given, and what it gives back."""

from collections.abc import Sequence
from typing import Protocol

from transaction_history.domain.jobs import Reason
from transaction_history.jobs.metrics import JobMetrics
from transaction_history.jobs.queue_postgres import JobLease
from transaction_history.jobs.rows import Job, JobFile, Part, Snapshot


class Stopped(Exception):
    """The process ends, or the job is another's: the attempt goes no further."""


class JobRefused(Exception):
    """The job cannot be done now; *reason* says whether it may be tried again."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Work:
    """One attempt of a job. Whoever carries it out asks `go_on` every few thousand rows, in any thread."""

    def __init__(self, lease: JobLease, metrics: JobMetrics) -> None:
        self._lease = lease
        self._metrics = metrics
        self._is_stopped = False
        self.done_rows = lease.job.done_rows

    @property
    def job(self) -> Job:
        """The job, as it was taken."""
        return self._lease.job

    @property
    def name(self) -> str:
        """What names of this attempt's objects begin with: no other attempt writes there."""
        return f"{folder_of(self.job)}{self._lease.token.hex}"

    def stop(self) -> None:
        """Have the attempt end at its next look."""
        self._is_stopped = True

    def go_on(self) -> None:
        """Return unless the attempt is to end; raises Stopped."""
        if self._is_stopped:
            raise Stopped

    async def parts(self) -> Sequence[Part]:
        """Return what former attempts have finished."""
        return await self._lease.parts()

    async def look_at(self, seen: Snapshot) -> None:
        """Keep what the job looks at, for all of its attempts; raises LeaseGone."""
        await self._lease.look_at(seen)

    async def add_part(self, part: Part) -> None:
        """Keep that *part* is finished; raises LeaseGone."""
        await self._lease.add_part(part)
        self._metrics.rows(self.job.kind, part.rows)


class JobKind(Protocol):
    """How jobs of one kind are carried out."""

    async def carry_out(self, work: Work, /) -> JobFile:
        """Do the job from where former attempts left it, and return its file.

        Raises Stopped, LeaseGone, JobRefused, and operational errors, after which there may be another attempt.
        """
        ...


def folder_of(job: Job) -> str:
    """Return what the names of all of a job's objects begin with."""
    return f"{job.tenant_id}/{job.id}/"
