"""What a restored database lacks is taken over from the topic, which carries the whole state of each entity.

Events are put into the outbox in the places that they have in the topic, their state into the rows of their entities:
what was revoked stays revoked. Afterwards the numbers go on behind the topic's end.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from access.continuity.state_rows import ORDER, write_state
from access.identities.recording import SOURCE, OwnView
from contracts.access import ACCESS_STREAM, AccessData, IssuerChanged
from contracts.envelope import Envelope
from contracts.event_types import EventDataError
from contracts.ids import SHARDS
from servicekit.postgres import Connection, Pool, Transaction, transaction, trial
from servicekit.relay import halts
from servicekit.relay.outbox import outbox_journal
from servicekit.relay.topic_positions import PlacedEvent, UnknownTopic

EVENTS_MAX: Final = 20_000
"""Of one decision, which is one transaction: a backup that lacks more is too old to go on with."""
_CHUNK: Final = 1_000

_HEADS: Final = """
    select s.shard, coalesce((select max(seq) from servicekit.outbox as o where o.shard = s.shard), 0) as seq
    from generate_series(0, $1::integer - 1) as s (shard)"""
_LOCK: Final = "select pg_advisory_xact_lock(9, s.shard) from generate_series(0, $1::integer - 1) as s (shard)"
"""Whoever appends to a shard holds this lock."""
_INSERT: Final = """
    insert into servicekit.outbox (shard, seq, event_id, tenant_id, subject, type, occurred_at, causation_id,
                                   traceparent, payload)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""
_MOVE: Final = "update servicekit.relay_lease set cursor = greatest(cursor, $2) where shard = $1"


class NotTaken(Exception):
    """What the topic has cannot be taken over, and nothing was. The message tells an operator why."""


class HasEvents(Protocol):
    """The topic."""

    def events(self) -> AsyncIterator[Sequence[PlacedEvent]]:
        """Give all that is there, each shard's in its order; raises PublishError and UnknownTopic."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """How many *events* were taken over and *halts* ended, and the issuers whose keys nobody fetches any more."""

    events: int
    halts: int
    unpolled: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class _Missing:
    event: Envelope
    state: AccessData


class TakingOver:
    """Takes over what the database behind *pool* lacks; *own* is what the service itself knows of identities."""

    def __init__(self, pool: Pool, topic: HasEvents, own: OwnView) -> None:
        self._pool = pool
        self._topic = topic
        self._own = own
        self._journal = outbox_journal(SOURCE)

    async def run(self, operator: str, *, dry_run: bool = False) -> Taken:
        """Take over what is lacking and clear the halts as *operator*, in one transaction; nothing where none is.

        A *dry_run* takes all of it back.

        Raises NotTaken, PublishError where the topic cannot be read, and Unavailable.
        """
        async with self._pool.connection() as connection:
            if not await halts.active(connection):
                return Taken(0, 0)
            heads = await _heads(connection)
        missing = await self._missing(heads)
        opening = trial if dry_run else transaction
        async with self._pool.connection() as connection, opening(connection) as tx:
            await tx.connection.execute(_LOCK, SHARDS)
            if await _heads(tx.connection) != heads:
                raise NotTaken("something was written meanwhile: stop what writes to this database, then try again")
            await self._write(tx, missing)
            cleared = await halts.clear(tx.connection, operator=operator)
        unpolled = {each.event.subject for each in missing if isinstance(each.state, IssuerChanged)}
        return Taken(len(missing), cleared, sorted(unpolled))

    async def _missing(self, heads: dict[int, int]) -> list[_Missing]:
        """Return what follows *heads* in the topic, shard by shard; raises NotTaken and PublishError."""
        ends, found, last = dict(heads), list[_Missing](), dict[tuple[int, int], UUID]()
        try:
            async for poll in self._topic.events():
                async with self._pool.connection() as connection:
                    known = await self._journal.event_ids(connection, [(each.shard, each.sequence) for each in poll])
                for each in poll:
                    place = each.shard, each.sequence
                    there = known.get(place) or last.get(place)
                    if there is not None:
                        _require_same(each, there)
                        continue
                    found.append(_follows(each, ends[each.shard]))
                    ends[each.shard], last[place] = each.sequence, each.event_id
                    if len(found) > EVENTS_MAX:
                        raise NotTaken(f"more than {EVENTS_MAX} events are lacking: restore a newer backup")
        except UnknownTopic as error:
            raise NotTaken(str(error)) from error
        return found

    async def _write(self, tx: Transaction, missing: Sequence[_Missing]) -> None:
        for some in _chunks(missing):
            await tx.connection.executemany(_INSERT, [_row(each.event) for each in some])
        for each in sorted(missing, key=_turn):
            await write_state(tx, each.event, each.state)
        for some in _chunks(missing):
            await self._own.apply(tx, [each.event for each in some])
        ends = {each.event.shard: each.event.sequence for each in missing}
        await tx.connection.executemany(_MOVE, list(ends.items()))


async def _heads(connection: Connection) -> dict[int, int]:
    return {row["shard"]: row["seq"] for row in await connection.fetch(_HEADS, SHARDS)}


def _require_same(each: PlacedEvent, there: UUID) -> None:
    """Raise NotTaken unless what is *there* is the same event."""
    if there != each.event_id:
        raise NotTaken(
            f"sequence {each.sequence} of shard {each.shard} is another event here than in the topic: something was"
            " written after the restore; restore the backup again, with nothing running"
        )


def _follows(each: PlacedEvent, end: int) -> _Missing:
    """Return *each*, which is lacking, with its state; raises NotTaken unless it can follow the sequence *end*."""
    where = f"sequence {each.sequence} of shard {each.shard}"
    if each.sequence != end + 1:
        raise NotTaken(f"{where} does not follow {end}: the topic does not have all that was told")
    event = each.event
    if event is None or event.type not in ACCESS_STREAM.types:
        raise NotTaken(f"{where} cannot be read by this release")
    try:
        return _Missing(event, ACCESS_STREAM.parse(event.type, event.data))
    except EventDataError as error:
        raise NotTaken(f"{where} cannot be read: {error}") from error


def _chunks(missing: Sequence[_Missing]) -> Iterator[Sequence[_Missing]]:
    for begin in range(0, len(missing), _CHUNK):
        yield missing[begin : begin + _CHUNK]


def _turn(each: _Missing) -> tuple[object, ...]:
    """Return when *each* is written: kinds one after another, the changes of a kind in their order."""
    return ORDER.index(type(each.state)), each.event.time, each.event.shard, each.event.sequence


def _row(event: Envelope) -> tuple[object, ...]:
    return (
        event.shard,
        event.sequence,
        event.event_id,
        event.tenant_id,
        event.subject,
        ACCESS_STREAM.types[event.type].number,
        event.time,
        event.causation_id,
        event.traceparent,
        event.data,
    )
