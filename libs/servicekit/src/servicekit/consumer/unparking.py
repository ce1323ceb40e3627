"""Unparking: a subject's events are read from the topic again, and applied in order from the one that failed on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contracts.envelope import Envelope
from contracts.ids import shard_of
from servicekit.brokers import Brokers
from servicekit.consumer import checkpoints, parking
from servicekit.consumer.applying import reason_of
from servicekit.consumer.projection import Projection
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import PartitionReader, open_partition
from servicekit.failures import Failure, classify
from servicekit.postgres import Pool, Transaction

EVENTS_PER_TRANSACTION: Final = 500
SILENT_S_MAX: Final = 30.0
"""A broker that has not answered for so long is away."""


@dataclass(frozen=True, slots=True)
class Unparked:
    """What an unparking did: *applied* events; *failure* is why the rest stays parked, None if nothing does."""

    applied: int
    failure: str | None


async def unpark(pool: Pool, projection: Projection, subject: UUID, *, brokers: Brokers) -> Unparked:
    """Apply the subject's events that were held back, in order, and let it flow again when none is left.

    An event that fails again keeps its place, and with it those behind. Raises the client's errors, and TimeoutError
    where the broker is away.
    """
    shard = shard_of(subject)
    async with pool.connection() as connection:
        place = await parking.place_of(connection, projection.name, subject)
        partition = await checkpoints.partition_of_shard(connection, projection.name, shard)
    if place is None or partition is None:
        return Unparked(0, None)
    async with open_partition(brokers, projection.topic, partition) as reader:
        return await _Unparking(pool, projection, subject, reader, place.shard, place.seq).run(place.offset)


@dataclass(slots=True)
class _Unparking:
    """One run: it follows the shard's dense sequence from *next_seq* on, and picks the subject's events from it."""

    pool: Pool
    projection: Projection
    subject: UUID
    reader: PartitionReader
    shard: int
    next_seq: int
    applied: int = 0
    _picked: list[Received] = field(default_factory=list)

    async def run(self, offset: int) -> Unparked:
        """Read from *offset* to the end, again where records were brought back behind later ones."""
        is_whole = False
        while True:
            began = self.next_seq
            await self.reader.seek(offset)
            while polled := await self._polled():
                self._pick(polled)
                if len(self._picked) >= EVENTS_PER_TRANSACTION:
                    failure, is_done = await self._apply()
                    if failure is not None or is_done:
                        return Unparked(self.applied, failure)
            failure, is_done = await self._apply()
            if failure is not None or is_done:
                return Unparked(self.applied, failure)
            if self.next_seq == began:
                if is_whole:
                    return Unparked(self.applied, f"the topic lacks sequence {began} of shard {self.shard}")
                offset, is_whole = 0, True

    async def _polled(self) -> list[Received]:
        async with asyncio.timeout(SILENT_S_MAX):
            return await self.reader.next_poll()

    def _pick(self, polled: Sequence[Received]) -> None:
        for record in polled:
            if record.shard == self.shard and record.sequence == self.next_seq:
                self.next_seq += 1
                if record.subject == self.subject:
                    self._picked.append(record)

    async def _apply(self) -> tuple[str | None, bool]:
        """Apply what is picked; return why it could not be, and whether the subject is unparked."""
        async with self.pool.transaction() as tx:
            # The consumer parks and applies under this lock, so that nothing comes in between.
            held = await checkpoints.lock(tx, self.projection.name, {self.shard: self.reader.partition})
            last_seq = held[self.shard].last_seq
            due = [record for record in self._picked if record.sequence <= last_seq]  # the rest is the consumer's
            done, failure = await _apply_in_order(tx, self.projection, due)
            is_done = failure is None and self.next_seq > last_seq
            if is_done:
                await parking.forget(tx, self.projection.name, self.subject)
            else:
                seq = self.next_seq if failure is None else due[done].sequence
                await parking.move_place(tx, self.projection.name, self.subject, seq, done)
        self.applied += done
        self._picked.clear()
        return failure, is_done


async def _apply_in_order(tx: Transaction, projection: Projection, due: Sequence[Received]) -> tuple[int, str | None]:
    """Apply *due* at once; where that fails one by one, up to the one that fails. Return how many, and why no more."""
    readable = [record.event for record in due if record.event is not None]
    if len(readable) == len(due) and await _apply(tx, projection, readable) is None:
        return len(due), None
    for done, record in enumerate(due):
        failure = record.error or "unreadable"
        if record.event is not None:
            failed = await _apply(tx, projection, [record.event])
            if failed is None:
                continue
            failure = failed
        return done, failure
    return len(due), None


async def _apply(tx: Transaction, projection: Projection, events: list[Envelope]) -> str | None:
    if not events:
        return None
    try:
        async with tx.connection.transaction():
            await projection.apply(tx, events)
    except Exception as error:
        if classify(error) in (Failure.DATA, Failure.OTHER):
            return reason_of(error)
        raise
    return None
