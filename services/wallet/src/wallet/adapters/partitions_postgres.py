"""The journal's partitions: made ahead of need, and how much room is left in them."""

from typing import Final, NamedTuple

from servicekit.postgres import Connection

PARTITIONS_AHEAD: Final = 4
"""Empty ones cost nothing; a shard fills one in half a minute at most, and a look a second makes the next."""

ATTACHED_MAX: Final = 300
"""A statement over the journal locks each partition and its indexes: with the usual 64 locks for each of 200 sessions,
some 700 partitions are as many as all sessions together can lock. Archiving detaches them."""

_ATTACHED: Final = "(select count(*) from pg_inherits where inhparent = 'wallet.journal'::regclass)"
_HEADROOM: Final = f"""
    select (coalesce((select max(number) + 1 from wallet.archived_partition), 0) + {_ATTACHED})
           * wallet.partition_width()
           - greatest((select max(h.seq) from wallet.journal_heads() h),
                      (select max(f.seq) from wallet.archive_end f), 0)"""


async def make_partitions(connection: Connection) -> int:
    """Make the journal partitions that are wanted ahead; return how many were missing."""
    made: int = await connection.fetchval("select wallet.ensure_journal_partitions($1)", PARTITIONS_AHEAD)
    return made


async def attached_partitions(connection: Connection) -> int:
    """Return how many partitions the journal has, archived ones aside."""
    attached: int = await connection.fetchval(f"select {_ATTACHED}")
    return attached


async def journal_headroom(connection: Connection) -> int:
    """Return how many sequence numbers the fullest shard still has room for."""
    headroom: int = await connection.fetchval(_HEADROOM)
    return headroom


_ESTIMATED_KEYS: Final = (
    "select greatest(reltuples, 0)::bigint from pg_class where oid = 'wallet.idempotency'::regclass"
)
_ARCHIVED: Final = "select count(*) from wallet.archived_partition"


class Fullness(NamedTuple):
    """How full the ledger's tables are. *keys* is an estimate: counting them would read them all."""

    keys: int
    headroom: int
    attached: int
    archived: int


async def fullness(connection: Connection) -> Fullness:
    """Return how full the ledger's tables are."""
    return Fullness(
        keys=await connection.fetchval(_ESTIMATED_KEYS),
        headroom=await journal_headroom(connection),
        attached=await attached_partitions(connection),
        archived=await connection.fetchval(_ARCHIVED),
    )
