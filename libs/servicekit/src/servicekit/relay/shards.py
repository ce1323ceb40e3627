"""What a relay knows of the shards it holds."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

OFFSET_UNKNOWN: Final = -1


class Mark(NamedTuple):
    """A published record: its *event_id* and *offset* are None and OFFSET_UNKNOWN where this process knows neither."""

    sequence: int
    event_id: UUID | None = None
    offset: int = OFFSET_UNKNOWN


@dataclass(slots=True)
class HeldShard:
    """A shard this process publishes, from its cursor in the database, *stored*, on.

    *published* is what was last acknowledged.
    """

    epoch: int
    stored: Mark
    published: Mark = field(init=False)

    def __post_init__(self) -> None:
        """Begin at the cursor."""
        self.published = self.stored

    @property
    def marks(self) -> set[Mark]:
        """The records that the journal must have, with their ids."""
        return {mark for mark in (self.stored, self.published) if mark.event_id is not None}
