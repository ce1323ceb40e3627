"""Upkeep of the ledger's tables: partitions made ahead, idempotency records forgotten in small lots."""

from typing import Final

from servicekit.postgres import Pool

PARTITIONS_AHEAD: Final = 1
LOT: Final = 1_000

_FORGET: Final = """
    delete from wallet.idempotency where (client, key, part) in (
        select client, key, part from wallet.idempotency
         where created_at < clock_timestamp() - make_interval(days => $1) limit $2)"""
_HEADROOM: Final = """
    select (coalesce((select max(number) + 1 from wallet.archived_partition), 0)
            + (select count(*) from pg_inherits where inhparent = 'wallet.journal'::regclass))
           * wallet.partition_width()
           - greatest((select max(h.seq)
                         from generate_series(0, 63) s(shard)
                         cross join lateral (select j.seq from wallet.journal j where j.shard = s.shard
                                              order by j.seq desc limit 1) h),
                      (select max(f.seq) from wallet.shard_floor f), 0)"""


async def make_partitions(pool: Pool) -> int:
    """Make the journal partitions that are wanted ahead; return how many were missing."""
    async with pool.connection() as connection:
        made: int = await connection.fetchval("select wallet.ensure_journal_partitions($1)", PARTITIONS_AHEAD)
        return made


async def journal_headroom(pool: Pool) -> int:
    """Return how many sequence numbers the fullest shard still has room for."""
    async with pool.connection() as connection:
        headroom: int = await connection.fetchval(_HEADROOM)
        return headroom


async def forget_keys(pool: Pool, days: int) -> int:
    """Delete one lot of idempotency records older than *days*; return how many there were."""
    async with pool.connection() as connection:
        status = await connection.execute(_FORGET, days, LOT)
        return int(status.split()[-1])


async def is_halted(pool: Pool) -> bool:
    """Tell whether the relay found the topic ahead of this journal and no operator has decided yet."""
    async with pool.connection() as connection:
        halted: bool = await connection.fetchval(
            "select exists (select from servicekit.relay_halt where cleared_at is null)"
        )
        return halted
