"""A ledger that is complete, for tests of what waits for that."""

from datetime import datetime

from servicekit.postgres import Connection

_COMPLETE = """
    insert into servicekit.watermark (projection, shard, known_seq, known_at, covered_seq, covered_at)
    select 'transaction_history', s, 0, t.at, 0, t.at
    from generate_series(0, 63) as s, (select coalesce($1::timestamptz, now()) as at) as t
    on conflict (projection, shard) do update
        set known_seq = 0, known_at = excluded.known_at, covered_seq = 0, covered_at = excluded.covered_at"""


async def complete(connection: Connection, until: datetime | None = None) -> None:
    """Have every shard of the history be read at *until*, None for now: it is complete up to 20 s before."""
    await connection.execute(_COMPLETE, until)
