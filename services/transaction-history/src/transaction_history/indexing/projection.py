"""The index's projection: a large poll becomes few rows, in few statements."""

from collections.abc import Sequence
from typing import Final

from contracts.envelope import Envelope
from contracts.events import EventData, OwnerChanged, PolicyChanged, SystemEntryPosted, parse_data
from servicekit.postgres import Transaction
from transaction_history.domain.index import fold
from transaction_history.domain.private_text import PrivateText, Sealed
from transaction_history.domain.terms import Hasher
from transaction_history.indexing.index_postgres import PostgresIndex

INDEX: Final = "history_index"
"""The consumer group, the checkpoints' name, and the schema."""


class IndexProjection:
    """Applies events of every type to the index. *name* is the consumer group and the checkpoints' name."""

    def __init__(
        self, index: PostgresIndex, *, private_text: PrivateText, hasher: Hasher, name: str, topic: str
    ) -> None:
        self._index = index
        self._private_text = private_text
        self._hasher = hasher
        self.name = name
        self.topic = topic

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        """Index *events*; raises EventDataError, DatedAhead or Incomplete, naming the first that cannot be."""
        parsed = [(event, parse_data(event.type, event.data)) for event in events]
        texts = await self._private_text.opened([sealed(event, data) for event, data in parsed])
        now = await self._index.now(tx)
        held = await self._index.held(tx, {event.subject for event in events})
        rows = fold(
            [(event, data, text) for (event, data), text in zip(parsed, texts, strict=True)],
            held,
            self._hasher,
            now=now,
        )
        await self._index.add(tx, rows)


def sealed(event: Envelope, data: EventData) -> Sealed:
    """Return the free text of an event, which has none where it is no wallet's."""
    if isinstance(data, SystemEntryPosted | PolicyChanged | OwnerChanged):
        return Sealed(event.tenant_id, "", None)
    return Sealed(event.tenant_id, data.owner_id, data.private)
