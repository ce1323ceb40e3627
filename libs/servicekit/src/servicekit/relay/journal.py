"""Where the relay reads: a journal of dense sequences per shard."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from contracts.envelope import Envelope
from contracts.event_types import EventType
from servicekit.postgres import Connection
from servicekit.relay.errors import UnknownEventNumber

BYTES_UNBOUNDED: Final = 2**62


class Backlog(NamedTuple):
    """How many *rows* lie behind the cursors, and the age in *seconds* of the oldest of them (0: none).

    The journal of the shards in *ended_before* ends before their cursor: no lag but a loss.
    """

    rows: int
    seconds: float
    ended_before: Sequence[int] = ()


class Look(NamedTuple):
    """The *events* behind the cursors, and a time *read_at* by the database's clock: what was visible then is there."""

    events: list[Envelope]
    read_at: datetime


class SqlJournal:
    """The journal in a table of the service's own database.

    *table* has the columns of `servicekit.outbox`, the subject perhaps as *subject_column*, and PRIMARY KEY (shard,
    seq); *source* is the CloudEvents source. Rows that are published may have been moved to *archive*, a table with the
    same columns: event ids are found there too. Whoever writes to it notifies *channel*, if any.
    """

    def __init__(
        self,
        *,
        table: str,
        types: Mapping[int, EventType],
        source: str,
        subject_column: str = "subject",
        archive: str | None = None,
        channel: str | None = None,
    ) -> None:
        self.channel = channel
        self._source = source
        self._type_names = {number: event_type.name for number, event_type in types.items()}
        self._read = f"""
            select j.shard, j.seq, j.event_id, j.tenant_id, j.{subject_column}, j.version, j.transaction_id,
                   j.entry_index, j.entry_count, j.type, j.occurred_at, j.causation_id, j.traceparent, j.payload
            from unnest($1::smallint[], $2::bigint[]) as c (shard, cursor)
            cross join lateral (
                select *, sum(octet_length(payload)) over (order by seq rows unbounded preceding) as bytes
                from (select * from {table} where shard = c.shard and seq > c.cursor order by seq limit $3) as next
            ) as j
            where j.bytes - octet_length(j.payload) < $4"""
        # A row more, of no shard, tells the time: that of the transaction's begin, which is before its snapshot, while
        # the statement's own is told anew when the snapshot is already taken.
        self._look = f"""{self._read}
            union all
            select null, null, null, null, null, null, null, null, null, null, transaction_timestamp(), null, null, null
            """
        self._event_ids = " union all ".join(
            f"""
            select j.shard, j.seq, j.event_id
            from unnest($1::smallint[], $2::bigint[]) as p (shard, seq) join {each} as j using (shard, seq)"""
            for each in (table, archive)
            if each is not None
        )
        self._backlog = _backlog_statement(table, archive)

    async def read(
        self,
        connection: Connection,
        cursors: Mapping[int, int],
        rows_per_shard: int,
        bytes_per_shard: int = BYTES_UNBOUNDED,
    ) -> list[Envelope]:
        """Return what follows each shard's cursor in ONE statement, ascending.

        At most *rows_per_shard* each, and bodies of *bytes_per_shard*, which the last one may go beyond. Raises
        UnknownEventNumber.
        """
        shards, after = list(cursors), list(cursors.values())
        rows = await connection.fetch(self._read, shards, after, rows_per_shard, bytes_per_shard)
        return self._envelopes(rows)

    async def look(
        self, connection: Connection, cursors: Mapping[int, int], rows_per_shard: int, bytes_per_shard: int
    ) -> Look:
        """Return what `read` does, and as of when; the connection has no transaction open."""
        shards, after = list(cursors), list(cursors.values())
        *rows, told = await connection.fetch(self._look, shards, after, rows_per_shard, bytes_per_shard)
        assert told["shard"] is None, "the row that tells the time comes last"
        return Look(self._envelopes(rows), told["occurred_at"])

    async def event_ids(
        self, connection: Connection, positions: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], UUID]:
        """Return the event id at each (shard, sequence) that exists."""
        rows = await connection.fetch(self._event_ids, [shard for shard, _ in positions], [seq for _, seq in positions])
        return {(row["shard"], row["seq"]): row["event_id"] for row in rows}

    async def backlog(self, connection: Connection, cursors: Mapping[int, int]) -> Backlog:
        """Measure what lies behind the cursors, by the database's clock."""
        row = await connection.fetchrow(self._backlog, list(cursors), list(cursors.values()))
        assert row is not None
        return Backlog(row["lag_rows"], max(0.0, row["lag_s"]), row["ended"])

    def _envelopes(self, rows: Sequence[asyncpg.Record]) -> list[Envelope]:
        try:
            return [self._envelope(row) for row in rows]
        except KeyError as error:
            raise UnknownEventNumber(f"event type number {error} is not known to this release") from error

    def _envelope(self, row: asyncpg.Record) -> Envelope:
        # By position: this runs once per published event.
        (
            shard, seq, event_id, tenant_id, subject, version, transaction_id, entry_index, entry_count, number,
            occurred_at, causation_id, traceparent, payload,
        ) = row  # fmt: skip
        is_entry = transaction_id is not None
        return Envelope(
            shard=shard,
            sequence=seq,
            event_id=event_id,
            type=self._type_names[number],
            source=self._source,
            subject=subject,
            tenant_id=tenant_id,
            time=occurred_at,
            data=payload,
            wallet_version=version,
            transaction_id=transaction_id,
            entry_index=entry_index if is_entry else None,
            entry_count=entry_count if is_entry else None,
            causation_id=causation_id,
            traceparent=traceparent,
        )


def _backlog_statement(table: str, archive: str | None) -> str:
    """Return what measures the rows behind cursors, in *table* and behind it in *archive*."""
    archived = f", (select seq from {archive} where shard = c.shard order by seq desc limit 1)" if archive else ""
    return f"""
        select coalesce(sum(greatest(head.seq - c.cursor, 0)), 0)::bigint as lag_rows,
               coalesce(extract(epoch from clock_timestamp() - min(next.occurred_at)), 0)::float8 as lag_s,
               coalesce(array_agg(c.shard order by c.shard) filter (where head.seq < c.cursor), '{{}}') as ended
        from unnest($1::smallint[], $2::bigint[]) as c (shard, cursor)
        cross join lateral (
            select coalesce((select seq from {table} where shard = c.shard order by seq desc limit 1){archived}, 0)
        ) as head (seq)
        left join lateral (
            select occurred_at from {table} where shard = c.shard and seq > c.cursor order by seq limit 1
        ) as next on true"""
