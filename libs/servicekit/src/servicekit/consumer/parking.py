"""Parked wallets: an event that cannot be applied, and what came after it for the same wallet, wait in the topic.

Only the wallet's place is kept, so that one hot wallet costs a row. Beyond a number of wallets the consumer ends
instead of parking more, for then not single events are broken but the projection.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from servicekit.consumer.records import Received
from servicekit.postgres import Connection, Transaction

WALLETS_MAX: Final = 1_000
REASON_CHARACTERS_MAX: Final = 500


class ParkingFull(Exception):  # noqa: N818  it names a state of the projection
    """More would be parked than the bounds allow: the projection itself is broken. Nothing was lost."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parked wallet's events begin: with sequence *seq* of *shard*, none of them before *offset*."""

    shard: int
    seq: int
    offset: int


async def parked_among(tx: Transaction, projection: str, wallet_ids: Collection[UUID]) -> set[UUID]:
    """Return those of *wallet_ids* that are parked."""
    rows = await tx.connection.fetch(
        "select wallet_id from servicekit.parked_wallet where projection = $1 and wallet_id = any ($2::uuid[])",
        projection,
        list(wallet_ids),
    )
    return {row["wallet_id"] for row in rows}


async def park_wallet(tx: Transaction, projection: str, failed: Received, reason: str) -> None:
    """Park the wallet of *failed*, its first event; raise ParkingFull beyond the bound."""
    count = await tx.connection.fetchval(
        "select count(*) from servicekit.parked_wallet where projection = $1", projection
    )
    if count >= WALLETS_MAX:
        raise ParkingFull(f"{count} wallets are parked already")
    await tx.connection.execute(
        """insert into servicekit.parked_wallet (projection, wallet_id, shard, seq, reason, kafka_offset, events)
           values ($1, $2, $3, $4, $5, $6, 1)""",
        projection,
        failed.wallet_id,
        failed.shard,
        failed.sequence,
        _storable(reason),
        failed.offset,
    )


async def hold_back(tx: Transaction, projection: str, received: Sequence[Received]) -> None:
    """Count *received*, of parked wallets: they stay where they are in the topic."""
    counts = Counter(record.wallet_id for record in received)
    # Mostly behind the place that is kept; where lost records were brought back, they may stand before it.
    offsets = {record.wallet_id: record.offset for record in sorted(received, key=lambda record: -record.offset)}
    await tx.connection.execute(
        """update servicekit.parked_wallet as w
           set events = w.events + n.events, kafka_offset = least(w.kafka_offset, n.kafka_offset)
           from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as n (wallet_id, events, kafka_offset)
           where w.projection = $1 and w.wallet_id = n.wallet_id""",
        projection,
        list(counts),
        list(counts.values()),
        [offsets[wallet_id] for wallet_id in counts],
    )


async def place_of(connection: Connection, projection: str, wallet_id: UUID) -> Place | None:
    """Return where the wallet's events begin, None where it is not parked."""
    row = await connection.fetchrow(
        """select shard, seq, kafka_offset from servicekit.parked_wallet
           where projection = $1 and wallet_id = $2""",
        projection,
        wallet_id,
    )
    return None if row is None else Place(row["shard"], row["seq"], row["kafka_offset"])


async def move_place(tx: Transaction, projection: str, wallet_id: UUID, seq: int, applied: int) -> None:
    """Note that *applied* of the wallet's events are, and that the next one is at *seq* or later."""
    await tx.connection.execute(
        """update servicekit.parked_wallet set seq = $3, events = greatest(0, events - $4)
           where projection = $1 and wallet_id = $2""",
        projection,
        wallet_id,
        seq,
        applied,
    )


async def forget(tx: Transaction, projection: str, wallet_id: UUID) -> None:
    """Unpark the wallet: all its events are applied."""
    await tx.connection.execute(
        "delete from servicekit.parked_wallet where projection = $1 and wallet_id = $2", projection, wallet_id
    )


async def is_parked(connection: Connection, projection: str, wallet_ids: Sequence[UUID]) -> bool:
    """Tell whether one of *wallet_ids* is parked: a read that touches it says so."""
    found = await connection.fetchval(
        """select exists (select from servicekit.parked_wallet
                          where projection = $1 and wallet_id = any ($2::uuid[]))""",
        projection,
        wallet_ids,
    )
    return bool(found)


async def parked_wallet_count(connection: Connection, projection: str) -> int:
    """Return how many wallets are parked."""
    count: int = await connection.fetchval(
        "select count(*) from servicekit.parked_wallet where projection = $1", projection
    )
    return count


def _storable(reason: str) -> str:
    """Return *reason* as the database takes it, whatever a record has put into it."""
    return reason[:REASON_CHARACTERS_MAX].replace("\0", "").encode(errors="replace").decode()
