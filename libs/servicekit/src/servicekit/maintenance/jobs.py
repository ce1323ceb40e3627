"""What a job is, and what each of its runs is given."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from servicekit.maintenance.leadership import Leadership
from servicekit.postgres import Connection, Transaction, transaction


class JobRun:
    """What one run of a job is given: the job's connection, and its lease if it has a leader."""

    def __init__(self, connection: Connection, leadership: Leadership | None) -> None:
        self.connection = connection
        self.leadership = leadership

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run the body in one transaction; where the job has a leader, the lease is held until it ends.

        Raises LeaseLost, with nothing written, where another instance has become the leader.
        """
        async with transaction(self.connection) as opened:
            if self.leadership is not None:
                await self.leadership.extend(self.connection)
            yield opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do every *interval_s* seconds, a chunk of rows at a time.

    *run* does one chunk and returns how many rows that were. If they are *chunk_rows* or more, there may be more to do:
    the next chunk follows at once, until *repeat_s* seconds have passed since the first began. *chunk_rows* is None:
    one run does all. A chunk that takes longer than *deadline_s* is given up with its connection. A job that
    *has_leader* is done by one instance of all, and writes through `JobRun.transaction` alone. Operators may pause it
    if it *may_pause*: a job that the service cannot be without may not.
    """

    name: str
    interval_s: float
    run: Callable[[JobRun], Awaitable[int]]
    chunk_rows: int | None = None
    repeat_s: float = 10.0
    deadline_s: float = 10.0
    has_leader: bool = False
    may_pause: bool = True

    @property
    def lease_s(self) -> float:
        """How long a leader may be silent: longer than a chunk that is given up and a run that starts late."""
        return 2 * self.interval_s + 2 * self.deadline_s
