"""What a job is, and the turn that it is given."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from servicekit.maintenance.leadership import Leadership
from servicekit.postgres import Connection, Transaction, transaction


class Turn:
    """One run of a job: its connection, and its lease if it has a leader."""

    def __init__(self, connection: Connection, leadership: Leadership | None) -> None:
        self.connection = connection
        self._leadership = leadership

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run the body in one transaction; where the job has a leader, the lease is held until it ends.

        Raises LeaseLost, with nothing written, where another instance has become the leader.
        """
        async with transaction(self.connection) as opened:
            if self._leadership is not None:
                await self._leadership.extend(self.connection)
            yield opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do every *interval_s* seconds, a lot at a time.

    *run* does one lot and returns how many rows that were. Where they are *lot* or more there may be more to do: the
    next lot follows at once, until *repeat_s* seconds have passed since the first began. None: a run is whole. A lot
    that takes longer than *deadline_s* is given up with its connection. A job that *has_leader* is done by one instance
    of all, and writes through `Turn.transaction` alone.
    """

    name: str
    interval_s: float
    run: Callable[[Turn], Awaitable[int]]
    lot: int | None = None
    repeat_s: float = 10.0
    deadline_s: float = 10.0
    has_leader: bool = False

    @property
    def lease_s(self) -> float:
        """How long a leader may be silent: it lives through a lot that is given up, and a turn that came late."""
        return 2 * self.interval_s + 2 * self.deadline_s
