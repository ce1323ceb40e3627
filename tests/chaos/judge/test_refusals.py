"""What constraints refused is read off the server's log, of the ledger's tables alone."""

from typing import Any, cast

import asyncpg
from tests.chaos.judge import observe

LOG = """
2026-01-01 00:00:00 UTC [7] ERROR:  duplicate key value violates unique constraint "journal_0_pkey"
2026-01-01 00:00:00 UTC [7] DETAIL:  Key (shard, seq)=(1, 2) already exists.
2026-01-01 00:00:01 UTC [7] ERROR:  duplicate key value violates unique constraint "journal_0_pkey"
2026-01-01 00:00:02 UTC [8] ERROR:  new row for relation "wallet" violates check constraint "wallet_stays_above"
2026-01-01 00:00:03 UTC [9] ERROR:  duplicate key value violates unique constraint "entry_pk"
"""


class Catalog:
    """The ledger's database, as far as it is asked."""

    async def fetch(self, _statement: str) -> list[dict[str, Any]]:
        return [{"conname": "journal_0_pkey"}, {"conname": "wallet_stays_above"}]


async def test_refusals_are_counted_by_constraint_and_those_of_other_services_are_left_out() -> None:
    connections = {"wallet": cast("asyncpg.Connection", Catalog())}

    assert await observe.refusals(connections, LOG) == {"journal_0_pkey": 2, "wallet_stays_above": 1}
