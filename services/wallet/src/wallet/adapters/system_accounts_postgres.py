"""System accounts' balances: totals folded forward in the background, and the journal's rows after them."""

from typing import Final, NamedTuple
from uuid import UUID

from servicekit.postgres import Connection, Pool

ROWS_PER_SHARD: Final = 4_096
"""Of one chunk: at most 262,144 rows, about a second of one of the database's processes. If a chunk has fewer rows
than this in all, no shard has more to fold."""
LAG_ROWS_MAX: Final = 10_000_000
"""Farther behind, a balance takes long to read and no partition can be archived."""

_LAG: Final = """
    select coalesce(sum(head.seq - f.seq), 0)::bigint
      from wallet.system_account_fold f
      join wallet.journal_heads() head using (shard)"""


class SystemAccountBalance(NamedTuple):
    """What stands on a tenant's system account; money outside the platform stands below zero."""

    system_account: str
    currency: str
    total_minor: int


async def fold(connection: Connection, *, rows_per_shard: int = ROWS_PER_SHARD) -> int:
    """Fold one chunk of the journal into the totals; return how many rows that were."""
    folded: int = await connection.fetchval("select wallet.fold_system_accounts($1)", rows_per_shard)
    return folded


async def lag_rows(connection: Connection) -> int:
    """Return how many journal rows the totals are behind."""
    lag: int = await connection.fetchval(_LAG)
    return lag


async def balances(pool: Pool, tenant_id: UUID) -> list[SystemAccountBalance]:
    """Return the balances of the tenant's system accounts, exact as of one snapshot."""
    async with pool.connection() as connection:
        rows = await connection.fetch(
            "select system_account, currency, total_minor from wallet.system_account_balances($1) order by 1, 2",
            tenant_id,
        )
    return [SystemAccountBalance(row[0], row[1], int(row[2])) for row in rows]
