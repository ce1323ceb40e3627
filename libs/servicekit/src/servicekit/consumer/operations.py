"""What operators ask of a projection: `python -m <service> projections status | unpark | rewind`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.envelope import Envelope, EnvelopeError
from contracts.ids import shard_of
from servicekit.consumer import checkpoints, parking
from servicekit.consumer.applying import reason_of
from servicekit.consumer.projection import Projection
from servicekit.failures import Failure, classify
from servicekit.postgres import Connection, Pool, Transaction

EVENTS_PER_TRANSACTION: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """How far one shard is projected; *stopped* is `gap`, `diverged` or None."""

    shard: int
    last_seq: int
    partition: int
    offset: int
    stopped: str | None
    lag_ms: int
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedWallet:
    """A wallet whose events wait, since the one with sequence *seq* failed for *reason*."""

    wallet_id: UUID
    shard: int
    seq: int
    events: int
    reason: str
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class Unparked:
    """What an unparking did: *applied* events; *failure* tells why the rest stays parked, None where nothing does."""

    applied: int
    failure: str | None


async def status(connection: Connection, projection: str) -> list[ShardStatus]:
    """Return every shard that has a checkpoint."""
    rows = await connection.fetch(
        """SELECT shard, last_seq, topic_partition AS partition, kafka_offset AS offset, stopped,
                  coalesce(lag_ms, 0) AS lag_ms, updated_at
           FROM servicekit.checkpoint LEFT JOIN servicekit.projection_lag USING (projection, topic_partition)
           WHERE projection = $1 ORDER BY shard""",
        projection,
    )
    return [ShardStatus(**dict(row)) for row in rows]


async def parked_wallets(connection: Connection, projection: str) -> list[ParkedWallet]:
    """Return every parked wallet, the longest parked first."""
    rows = await connection.fetch(
        """SELECT w.wallet_id, w.shard, w.seq, w.reason, w.parked_at,
                  (SELECT count(*) FROM servicekit.parked_event AS e
                   WHERE e.projection = w.projection AND e.wallet_id = w.wallet_id) AS events
           FROM servicekit.parked_wallet AS w WHERE w.projection = $1 ORDER BY w.parked_at, w.wallet_id""",
        projection,
    )
    return [ParkedWallet(**dict(row)) for row in rows]


async def rewind(connection: Connection, projection: str, shard: int, *, offset: int = 0) -> bool:
    """Have the shard's partition read again from *offset*; return False where the shard has no checkpoint.

    Checkpoints stay where they are: what was applied is skipped, what was missing is applied, and a stopped shard is
    free to go on. The running consumer does it within a second or two, a stopped one when it starts.
    """
    found = await connection.fetchval(
        "UPDATE servicekit.checkpoint SET seek_to = $3 WHERE projection = $1 AND shard = $2 RETURNING true",
        projection,
        shard,
        offset,
    )
    return bool(found)


async def unpark(pool: Pool, projection: Projection, wallet_id: UUID) -> Unparked:
    """Apply the wallet's parked events in order, and let it flow again when none is left.

    An event that fails again keeps its place, and with it those behind.
    """
    applied = 0
    while True:
        async with pool.transaction() as tx:
            # The consumer parks and applies under this lock, so that nothing comes in between.
            await checkpoints.lock(tx, projection.name, {shard_of(wallet_id): 0})
            done, failure, is_unparked = await _unpark_some(tx, projection, wallet_id)
        applied += done
        if failure is not None or is_unparked or done == 0:
            return Unparked(applied, failure)


async def _unpark_some(tx: Transaction, projection: Projection, wallet_id: UUID) -> tuple[int, str | None, bool]:
    try:
        events = await parking.next_parked(tx, projection.name, wallet_id, EVENTS_PER_TRANSACTION)
    except EnvelopeError as error:
        return 0, reason_of(error), False
    done, failure = await _apply_in_order(tx, projection, events)
    is_unparked = False
    if done:
        is_unparked = await parking.forget(tx, projection.name, wallet_id, events[done - 1].sequence)
    return done, failure, is_unparked


async def _apply_in_order(tx: Transaction, projection: Projection, events: list[Envelope]) -> tuple[int, str | None]:
    """Apply *events* at once; where that fails one by one, up to the one that fails. Return how many, and why no more.

    The shard's checkpoint is locked meanwhile, so that the consumer waits.
    """
    if await _apply(tx, projection, events) is None:
        return len(events), None
    for done, event in enumerate(events):
        failure = await _apply(tx, projection, [event])
        if failure is not None:
            return done, failure
    return len(events), None


async def _apply(tx: Transaction, projection: Projection, events: list[Envelope]) -> str | None:
    try:
        async with tx.connection.transaction():
            await projection.apply(tx, events)
    except Exception as error:
        if classify(error) in (Failure.DATA, Failure.OTHER):
            return reason_of(error)
        raise
    return None
