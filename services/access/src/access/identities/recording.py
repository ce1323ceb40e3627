"""What every change does last: its events to the outbox, and to this service's own view of identities."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from access.identities.events import Changed, event_of
from servicekit.postgres import Transaction
from servicekit.relay.outbox import OutboxEvent, append_at

T = TypeVar("T")
Positions = Sequence[tuple[int, int]]
"""(shard, sequence) pairs by shard."""
ApplyToOwn = Callable[[Transaction, Sequence[OutboxEvent]], Awaitable[None]]
"""Writes what events say into this service's own view, in the transaction of the change."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A change that was made; *positions* are where its events stand, none where nothing changed."""

    result: T
    positions: Positions = ()


async def _apply_nowhere(_tx: Transaction, _events: Sequence[OutboxEvent]) -> None:
    """Leave this service's own view to its consumer."""


class Recorder:
    """Records changes as events."""

    def __init__(self, apply_to_own: ApplyToOwn = _apply_nowhere) -> None:
        self._apply_to_own = apply_to_own

    async def now(self, tx: Transaction) -> datetime:
        """Return the instant of a change whose rows are locked: later than that of the change before it."""
        now: datetime = await tx.connection.fetchval("select clock_timestamp()")
        return now

    async def record(self, tx: Transaction, *changed: Changed, now: datetime) -> Positions:
        """Append the event of each of *changed*, in order, and return where they stand.

        The last thing that *tx* does: what was read before under a lock of its row is the last state, and so is the
        last event.
        """
        events = [event_of(each, now=now) for each in changed]
        await self._apply_to_own(tx, events)
        return await append_at(tx, events)
