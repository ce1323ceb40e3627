"""Relays with a bug. The first two read the journal in an order of their own, and look for no gap."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import asyncpg

from contracts.envelope import Envelope
from contracts.ids import SHARDS
from servicekit.postgres import Connection
from servicekit.relay.leases import Lease, Leases, Move, Renewal
from servicekit.relay.relay import Relay

ROWS_MAX = 16_384
_BY_SERIAL = "select id as place, shard, seq from wallet.journal where id > $1 order by id"
_BY_XID = """
    select xmin::text::bigint as place, shard, seq from wallet.journal
    where xmin::text::bigint > $1
      and xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    order by xmin::text::bigint, shard, seq"""
_ALL_LEASES = "select shard, cursor from servicekit.relay_lease"
_MOVE_REGARDLESS = """
    update servicekit.relay_lease as lease set cursor = move.after
    from unnest($1::smallint[], $2::bigint[]) as move (shard, after) where lease.shard = move.shard"""


class _OneCursorRelay(Relay):
    """Reads all shards behind one cursor, the highest place it has seen."""

    _cursor = 0
    _next_cursor = 0

    async def _read(self) -> list[Envelope]:
        if len(self._shards) < SHARDS:
            return []
        async with self._pool.connection() as connection:
            rows = await self._rows(connection)
            if not rows:
                return []
            self._next_cursor = rows[-1]["place"]
            return await self._events(connection, [(row["shard"], row["seq"]) for row in rows])

    async def _publish(self, events: Sequence[Envelope]) -> int:
        published = await super()._publish(events)
        if published:
            self._cursor = self._next_cursor
        return published

    @abstractmethod
    async def _rows(self, connection: Connection) -> list[asyncpg.Record]: ...

    async def _events(self, connection: Connection, places: Sequence[tuple[int, int]]) -> list[Envelope]:
        before: dict[int, int] = {}
        for shard, seq in places:
            before[shard] = min(seq - 1, before.get(shard, seq))
        events = await self._journal.read(connection, before, ROWS_MAX)
        found = {(event.shard, event.sequence): event for event in events}
        return [found[place] for place in places]


class SerialRelay(_OneCursorRelay):
    """Reads by a bigserial: what commits later with a lower number is never read."""

    async def _rows(self, connection: Connection) -> list[asyncpg.Record]:
        return await connection.fetch(_BY_SERIAL, self._cursor)


class HorizonRelay(_OneCursorRelay):
    """Reads by transaction number, up to the oldest open one: nothing is lost, but commits came in another order."""

    async def _rows(self, connection: Connection) -> list[asyncpg.Record]:
        return await connection.fetch(_BY_XID, self._cursor)


class UnleasedRelay(Relay):
    """Publishes every shard, whoever else does."""

    def __init__(self, *arguments: Any, owner: str, **named: Any) -> None:
        super().__init__(*arguments, owner=owner, **named)
        self._leases = _NoLeases(owner=owner, lease_s=self._settings.lease_s)


class _NoLeases(Leases):
    """Gives every shard to everybody, and moves cursors from wherever they are."""

    async def renew(self, _connection: Connection) -> Renewal:
        return Renewal(dict.fromkeys(range(SHARDS), 0), SHARDS)

    async def acquire(self, connection: Connection, _shards_max: int, _leave: Collection[int] = ()) -> list[Lease]:
        return [Lease(row["shard"], 0, row["cursor"]) for row in await connection.fetch(_ALL_LEASES)]

    async def move(self, connection: Connection, moves: Sequence[Move]) -> set[int]:
        shards = [move.shard for move in moves]
        await connection.execute(_MOVE_REGARDLESS, shards, [move.after for move in moves])
        return set(shards)

    async def release(self, _connection: Connection, _epochs: Mapping[int, int]) -> None:
        """Free nothing: nothing is held."""
