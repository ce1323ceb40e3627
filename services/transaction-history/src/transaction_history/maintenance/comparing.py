"""What is compared with the topic: a run of a partition's records, and what a whole partition amounts to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from contracts.envelope import Envelope
from contracts.event_types import EventDataError
from contracts.events import EventData, parse_data
from servicekit.consumer import checkpoints, operations
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import PartitionReader
from servicekit.postgres import Connection
from transaction_history.domain.drift import Difference, differences
from transaction_history.domain.touched import touched
from transaction_history.maintenance.drift_reads import read_stored
from transaction_history.maintenance.folds import is_current
from transaction_history.projection.read_model_postgres import SCHEMA

DIFFERENCES_MAX: Final = 10_000
"""Of one run: where everything differs, its first ones tell as much."""


@dataclass(slots=True)
class Compared:
    """How many events were compared, how many could not be, and what was found.

    *skipped* are not projected yet, of parked wallets, or unreadable. *notes* say what else was not compared, and why.
    """

    events: int = 0
    skipped: int = 0
    differences: Sequence[Difference] = ()
    notes: list[str] = field(default_factory=list)


class Comparing(Protocol):
    """Compares a projection with the records of a partition, from its beginning to its end.

    *name* is the projection's. One that *resumes* can begin anywhere.
    """

    name: str
    resumes: bool

    def begin(self, turn: int) -> None:
        """Begin a partition, for the *turn*-th time."""
        ...

    async def compare(self, connection: Connection, received: Sequence[Received]) -> Compared:
        """Compare what *received* records made; *connection* is in no transaction."""
        ...

    async def end(self, connection: Connection, reader: PartitionReader) -> Compared:
        """Compare what all of the partition amounts to; *reader* has come to its end."""
        ...


class LedgerComparing:
    """Compares the ledger's tables: each run of records by itself, from the rows before it."""

    name = SCHEMA
    resumes = True

    def begin(self, turn: int) -> None:
        """Need nothing of what was before."""

    async def compare(self, connection: Connection, received: Sequence[Received]) -> Compared:
        """Compare the rows of *received* records, as of one instant."""
        records = distinct(received)
        if not await is_current(connection, SCHEMA):
            return Compared(0, len(records), notes=["the tables are those of the release before"])
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            reached = await checkpoints.reached(connection, SCHEMA, {record.shard for record in records})
            parked = {each.subject for each in await operations.parked_subjects(connection, SCHEMA)}
            parsed = [
                event
                for record in records
                if record.sequence <= reached.get(record.shard, 0)
                and record.subject not in parked
                and (event := parsed_event(record)) is not None
            ]
            stored = await read_stored(connection, touched(parsed))
        found = differences(parsed, stored)[:DIFFERENCES_MAX]
        return Compared(len(parsed), len(records) - len(parsed), found)

    async def end(self, connection: Connection, reader: PartitionReader) -> Compared:
        """Return nothing: all was compared."""
        del connection, reader
        return Compared()


def distinct(received: Collection[Received]) -> list[Received]:
    """Return *received* in their order, what was published twice once."""
    return list({(record.shard, record.sequence): record for record in reversed(list(received))}.values())[::-1]


def parsed_event(record: Received) -> tuple[Envelope, EventData] | None:
    """Return the event with its body, None where it cannot be read."""
    if record.event is None:
        return None
    try:
        return record.event, parse_data(record.event.type, record.event.data)
    except EventDataError:
        return None
