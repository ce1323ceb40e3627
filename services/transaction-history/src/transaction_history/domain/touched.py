"""Which rows of the ledger's tables a run of events has to do with. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import UUID

from contracts.envelope import Envelope
from contracts.events import (
    EntryPosted,
    EventData,
    HoldCaptured,
    HoldChanged,
    HoldReleased,
    OwnerChanged,
    PolicyChanged,
    RefundPosted,
    SystemEntryPosted,
)

Parsed = tuple[Envelope, EventData]


@dataclass(slots=True)
class Window:
    """The events of one wallet in a run: their times, and their versions."""

    since: datetime
    until: datetime
    versions: set[int] = field(default_factory=set)

    @property
    def is_dense(self) -> bool:
        """Whether no version is missing in between."""
        return max(self.versions) - min(self.versions) + 1 == len(self.versions)


@dataclass(slots=True)
class Touched:
    """The rows that a run of events has to do with."""

    windows: dict[UUID, Window] = field(default_factory=dict)
    changed: set[UUID] = field(default_factory=set)
    days: set[tuple[UUID, date]] = field(default_factory=set)
    holds: set[tuple[UUID, UUID]] = field(default_factory=set)
    transactions: set[UUID] = field(default_factory=set)


def touched(parsed: Iterable[Parsed]) -> Touched:
    """Return what *parsed* events have to do with."""
    found = Touched()
    for event, data in parsed:
        if event.transaction_id is not None:
            found.transactions.add(event.transaction_id)
        if isinstance(data, SystemEntryPosted | OwnerChanged | PolicyChanged) or event.wallet_version is None:
            continue
        window = found.windows.setdefault(event.subject, Window(event.time, event.time))
        window.since, window.until = min(window.since, event.time), max(window.until, event.time)
        window.versions.add(event.wallet_version)
        if (returned := taken_back(data)) is not None:
            found.transactions.add(returned)
        if isinstance(data, HoldChanged | HoldReleased | HoldCaptured):
            found.holds.add((event.subject, UUID(data.hold.id)))
        if isinstance(data, HoldChanged | HoldReleased | EntryPosted | HoldCaptured):
            found.days.add((event.subject, event.time.astimezone(UTC).date()))
        else:
            found.changed.add(event.subject)
    return found


def taken_back(data: EventData) -> UUID | None:
    """Return the transaction that an event tells how much of is taken back, None for most."""
    if isinstance(data, RefundPosted) and data.refund is not None and data.related_transaction_id is not None:
        return UUID(data.related_transaction_id)
    return None
