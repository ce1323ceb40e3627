"""A service's own outbox: events written in the transaction that makes them, published by the same relay as a journal.

Migrations: `outbox_source()` after `relay_source()`.
"""

from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from typing import Final
from uuid import UUID

import msgspec

from contracts.event_types import EventType
from contracts.ids import shard_of
from contracts.registry import TYPES_BY_NUMBER
from servicekit.migrations import MigrationSource
from servicekit.postgres import Transaction
from servicekit.relay.journal import SqlJournal

TABLE: Final = "servicekit.outbox"
CHANNEL: Final = "servicekit_outbox"
"""Notified by every transaction that appends: its relay sleeps until then."""
_encode: Final = msgspec.json.Encoder().encode


class OutboxEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to be published. *subject* is whom it is about: the record's key, and what gives it its shard."""

    event_id: UUID
    tenant_id: UUID
    subject: UUID
    type: EventType
    data: msgspec.Struct
    occurred_at: datetime
    causation_id: UUID | None = None
    traceparent: str | None = None


def outbox_source() -> MigrationSource:
    """Return the migrations of the outbox, for every service that publishes; after the relay's."""
    folder = resources.files("servicekit") / "sql" / "outbox"
    return MigrationSource("servicekit.outbox", folder, folder / "functions")


def outbox_journal(source: str) -> SqlJournal:
    """Return the outbox as the relay reads it; *source* is the CloudEvents source."""
    return SqlJournal(table=TABLE, types=TYPES_BY_NUMBER, source=source, channel=CHANNEL)


async def append(tx: Transaction, events: Sequence[OutboxEvent]) -> None:
    """Append *events*, in their order, as the last thing that *tx* does: their shards stay locked until it ends."""
    if not events:
        return
    await tx.connection.execute("select pg_notify($1, '')", CHANNEL)
    await tx.connection.execute(
        "select servicekit.append_to_outbox($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [shard_of(event.subject) for event in events],
        [event.event_id for event in events],
        [event.tenant_id for event in events],
        [event.subject for event in events],
        [event.type.number for event in events],
        [event.occurred_at for event in events],
        [event.causation_id for event in events],
        [event.traceparent for event in events],
        [_encode(event.data) for event in events],
    )


async def append_at(tx: Transaction, events: Sequence[OutboxEvent]) -> list[tuple[int, int]]:
    """Append *events* as `append` does; return where they end: the newest (shard, sequence) of each, ascending."""
    await append(tx, events)
    shards = sorted({shard_of(event.subject) for event in events})
    rows = await tx.connection.fetch(
        f"""select s.shard, (select max(seq) from {TABLE} as o where o.shard = s.shard) as seq
            from unnest($1::smallint[]) as s (shard) order by s.shard""",
        shards,
    )
    return [(row["shard"], row["seq"]) for row in rows]
