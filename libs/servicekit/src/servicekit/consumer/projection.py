"""What a service gives the consumer: a projection."""

from collections.abc import Sequence
from typing import Protocol

from contracts.envelope import Envelope
from servicekit.postgres import Transaction


class ProjectionError(Exception):
    """The event contradicts what the projection knows (a version that does not follow, for example)."""


class Projection(Protocol):
    """A read model. *name* is also its consumer group; it never changes."""

    name: str
    topic: str

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        """Write what *events* change, in few statements, through *tx* and nowhere else.

        They come in the order of their shards' sequences, each once. Any error but a lost connection or a lock makes
        the consumer look for the event that fails and park its subject: apply is then called again with fewer events,
        under a savepoint, so it keeps nothing in memory that a rollback would not undo.
        """
        ...
