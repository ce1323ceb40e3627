"""What every change does last: its events to the outbox, and to this service's own view of identities."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from access.identities.events import Changed, event_of
from contracts.envelope import Envelope
from contracts.ids import shard_of
from servicekit.postgres import Connection, Transaction
from servicekit.relay.outbox import OutboxEvent, append_at

T = TypeVar("T")
Positions = Sequence[tuple[int, int]]
"""(shard, sequence) pairs by shard."""
SOURCE: Final = "/access"
"""The `ce_source` of every event of this service."""


class OwnView(Protocol):
    """What this service itself knows of identities, as every service does."""

    async def apply(self, tx: Transaction, events: Sequence[Envelope], /) -> None:
        """Write what *events* leave of their entities."""
        ...


class Standing(Protocol):
    """Whether the database may be changed."""

    async def require(self, connection: Connection, /) -> None:
        """Raise Halted unless the database behind *connection* is known to have all that was told of it."""
        ...


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A change that was made; *positions* are where its events stand, none where nothing changed."""

    result: T
    positions: Positions = ()


class Recorder:
    """Records changes as events, and in this service's own view of identities."""

    def __init__(self, own: OwnView, standing: Standing) -> None:
        self._own = own
        self._standing = standing

    async def now(self, tx: Transaction) -> datetime:
        """Return the instant of a change whose rows are locked: later than that of the change before it."""
        now: datetime = await tx.connection.fetchval("select clock_timestamp()")
        return now

    async def record(self, tx: Transaction, *changed: Changed, now: datetime) -> Positions:
        """Append the event of each of *changed*, in order, and return where they stand.

        The last thing that *tx* does: what was read before under a lock of its row is the last state, and so is the
        last event. Raises Halted where the database is not known to have all that was told.
        """
        await self._standing.require(tx.connection)
        events = [event_of(each, now=now) for each in changed]
        positions = await append_at(tx, events)
        newest = dict(positions)
        await self._own.apply(tx, [_envelope(event, newest[shard_of(event.subject)]) for event in events])
        return positions


def _envelope(event: OutboxEvent, sequence: int) -> Envelope:
    return Envelope(
        shard=shard_of(event.subject),
        sequence=sequence,
        event_id=event.event_id,
        type=event.type.name,
        source=SOURCE,
        subject=event.subject,
        tenant_id=event.tenant_id,
        time=event.occurred_at,
        data=msgspec.json.encode(event.data),
    )
