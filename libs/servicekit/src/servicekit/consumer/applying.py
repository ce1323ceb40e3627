"""Applying events, and finding the one that fails among many that do not."""

from collections.abc import Sequence
from contextlib import nullcontext
from uuid import UUID

import asyncpg
import structlog

from servicekit.consumer import parking
from servicekit.consumer.projection import Projection
from servicekit.consumer.records import Received
from servicekit.failures import Failure, classify
from servicekit.postgres import Transaction

_log = structlog.get_logger(__name__)

_POISON = frozenset({Failure.DATA, Failure.OTHER})


class Poisoned(Exception):
    """Some record of the poll cannot be applied: it is to be processed again, carefully."""


class Applier:
    """Applies the fresh records of one poll in its transaction; made anew for each.

    A poll is first applied whole, without a savepoint. Only where that fails it is taken *carefully*, in a transaction
    of its own: savepoints find the records that cannot be applied.
    """

    def __init__(self, tx: Transaction, projection: Projection, *, carefully: bool) -> None:
        self._tx = tx
        self._projection = projection
        self._carefully = carefully
        self._parked: set[UUID] = set()
        self.applied = 0
        self.newly_parked = 0

    async def apply(self, fresh: Sequence[Received]) -> None:
        """Apply *fresh* in one call of the projection; where that fails, all but the subjects that cannot be.

        Raises Poisoned if one fails and this is not done carefully. Errors that are not the events' fault pass. With
        either the transaction ends.
        """
        subjects = {record.subject for record in fresh}
        self._parked = await parking.parked_among(self._tx, self._projection.name, subjects)
        await self._settle(fresh)

    async def _settle(self, records: Sequence[Received]) -> None:
        """Halve what fails, in order, until the failing event is alone: a savepoint per half."""
        held = [record for record in records if record.subject in self._parked]
        if held:
            await parking.hold_back(self._tx, self._projection.name, held)
            records = [record for record in records if record.subject not in self._parked]
        if not records:
            return
        reason = await self._try(records)
        if reason is not None and not self._carefully:
            raise Poisoned(reason)
        if reason is None:
            self.applied += len(records)
        elif len(records) == 1:
            await self._park(records[0], reason)
        else:
            middle = len(records) // 2
            await self._settle(records[:middle])
            await self._settle(records[middle:])

    async def _try(self, records: Sequence[Received]) -> str | None:
        """Apply *records*, carefully under a savepoint; return why they cannot be applied."""
        events = [record.event for record in records if record.event is not None]
        if len(events) < len(records):
            return next(record.error for record in records if record.event is None) or "unreadable"
        try:
            async with self._tx.connection.transaction() if self._carefully else nullcontext():
                await self._projection.apply(self._tx, events)
        except Exception as error:
            if classify(error) not in _POISON:
                raise
            return reason_of(error)
        return None

    async def _park(self, record: Received, reason: str) -> None:
        await parking.park_subject(self._tx, self._projection.name, record, reason)
        self._parked.add(record.subject)
        self.newly_parked += 1
        _log.error(
            "consumer.subject_parked",
            projection=self._projection.name,
            subject=str(record.subject),
            shard=record.shard,
            seq=record.sequence,
        )


def reason_of(error: Exception) -> str:
    """Return *error* as operators see it."""
    code = f" {error.sqlstate}" if isinstance(error, asyncpg.PostgresError) else ""
    return f"{type(error).__name__}{code}: {error}"
