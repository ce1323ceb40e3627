"""Parked wallets: an event that cannot be applied, and what came after it for the same wallet, kept in order.

Bounded by rows in the database, never by memory: beyond the bounds the consumer ends instead of parking more, for then
not single events are broken but the projection.
"""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from contracts.envelope import Envelope, from_record
from servicekit.consumer.records import Received
from servicekit.postgres import Connection, Transaction

WALLETS_MAX: Final = 1_000
EVENTS_MAX: Final = 100_000
REASON_CHARACTERS_MAX: Final = 500


class ParkingFull(Exception):  # noqa: N818  it names a state of the projection
    """More would be parked than the bounds allow: the projection itself is broken. Nothing was lost."""


async def parked_among(tx: Transaction, projection: str, wallet_ids: Collection[UUID]) -> set[UUID]:
    """Return those of *wallet_ids* that are parked."""
    rows = await tx.connection.fetch(
        "SELECT wallet_id FROM servicekit.parked_wallet WHERE projection = $1 AND wallet_id = ANY ($2::uuid[])",
        projection,
        list(wallet_ids),
    )
    return {row["wallet_id"] for row in rows}


async def park_wallet(tx: Transaction, projection: str, failed: Received, reason: str) -> None:
    """Park the wallet of *failed*, its first event; raise ParkingFull beyond the bound."""
    count = await tx.connection.fetchval(
        "SELECT count(*) FROM servicekit.parked_wallet WHERE projection = $1", projection
    )
    if count >= WALLETS_MAX:
        raise ParkingFull(f"{count} wallets are parked already")
    await tx.connection.execute(
        """INSERT INTO servicekit.parked_wallet (projection, wallet_id, shard, seq, reason)
           VALUES ($1, $2, $3, $4, $5)""",
        projection,
        failed.wallet_id,
        failed.shard,
        failed.sequence,
        reason[:REASON_CHARACTERS_MAX].replace("\0", ""),
    )
    await park_events(tx, projection, [failed])


async def park_events(tx: Transaction, projection: str, received: Sequence[Received]) -> None:
    """Keep *received*, of parked wallets, as they came; raise ParkingFull beyond the bound."""
    await tx.connection.executemany(
        """INSERT INTO servicekit.parked_event (projection, wallet_id, seq, header_names, header_values, value)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        [
            (
                projection,
                record.wallet_id,
                record.sequence,
                [name for name, _ in record.headers],
                [value for _, value in record.headers],
                record.value,
            )
            for record in received
        ],
    )
    count = await tx.connection.fetchval(
        "SELECT count(*) FROM servicekit.parked_event WHERE projection = $1", projection
    )
    if count > EVENTS_MAX:
        raise ParkingFull(f"{count} events would be parked")


async def next_parked(tx: Transaction, projection: str, wallet_id: UUID, limit: int) -> list[Envelope]:
    """Return the oldest parked events of the wallet; raise EnvelopeError where the first cannot be read."""
    rows = await tx.connection.fetch(
        """SELECT header_names, header_values, value FROM servicekit.parked_event
           WHERE projection = $1 AND wallet_id = $2 ORDER BY seq LIMIT $3""",
        projection,
        wallet_id,
        limit,
    )
    return [
        from_record(list(zip(row["header_names"], row["header_values"], strict=True)), row["value"]) for row in rows
    ]


async def forget(tx: Transaction, projection: str, wallet_id: UUID, up_to_seq: int) -> bool:
    """Delete the wallet's parked events up to *up_to_seq*, they are applied; unpark it when none is left: True."""
    await tx.connection.execute(
        "DELETE FROM servicekit.parked_event WHERE projection = $1 AND wallet_id = $2 AND seq <= $3",
        projection,
        wallet_id,
        up_to_seq,
    )
    unparked = await tx.connection.fetchval(
        """DELETE FROM servicekit.parked_wallet AS w WHERE projection = $1 AND wallet_id = $2 AND NOT EXISTS (
               SELECT FROM servicekit.parked_event AS e WHERE e.projection = $1 AND e.wallet_id = $2)
           RETURNING true""",
        projection,
        wallet_id,
    )
    return bool(unparked)


async def is_parked(connection: Connection, projection: str, wallet_ids: Sequence[UUID]) -> bool:
    """Tell whether one of *wallet_ids* is parked: a read that touches it says so."""
    found = await connection.fetchval(
        """SELECT EXISTS (SELECT FROM servicekit.parked_wallet
                          WHERE projection = $1 AND wallet_id = ANY ($2::uuid[]))""",
        projection,
        wallet_ids,
    )
    return bool(found)


async def parked_wallet_count(connection: Connection, projection: str) -> int:
    """Return how many wallets are parked."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM servicekit.parked_wallet WHERE projection = $1", projection
    )
    return count
