"""The verifier's reads: all of the ledger on one snapshot, in pieces of a bounded size."""

from collections.abc import Callable
from typing import Final

from contracts.ids import SHARDS
from servicekit.postgres import Connection, connect
from wallet.application.verify import FoldedRow, Report, ShardFold, SystemAccount, WalletState

_ROWS_PER_READ: Final = 10_000
_BREACHES_READ: Final = 1_000
_SESSION: Final = {"transaction_timeout": "0", "idle_in_transaction_session_timeout": "60s", "work_mem": "64MB"}
_JOURNAL: Final = """
    select seq, tenant_id, account_id, system_account, version, posted_delta, held_delta, posted_after, held_after,
           currency
      from wallet.journal where shard = $1 and seq > $2 order by seq limit $3"""
_WALLETS: Final = """
    select id, version, posted_minor, held_minor from wallet.wallet
     where get_byte(uuid_send(id), 15) & 63 = $1"""
_TOTALS_SEQ: Final = "select seq from wallet.system_account_fold where shard = $1"
_TOTALS: Final = """
    select tenant_id, system_account, currency, total_minor from wallet.system_account_total where shard = $1"""
_UNBALANCED: Final = """
    select transaction_id, currency, sum(posted_delta) as total
      from wallet.journal where transaction_id is not null
     group by transaction_id, currency having sum(posted_delta) <> 0 limit $1"""
_INCOMPLETE: Final = """
    select transaction_id, count(*) as entries, max(entry_count) as wanted
      from wallet.journal where transaction_id is not null
     group by transaction_id having count(*) <> max(entry_count) limit $1"""
_TRANSACTIONS: Final = "select count(*) from wallet.journal where transaction_id is not null and entry_index = 0"

Progress = Callable[[int], None]
"""Told how many journal rows were read since the last call."""


async def count_rows(dsn: str) -> int:
    """Return how many journal rows there are, for the progress bar."""
    connection = await connect(dsn, application_name="wallet-verify", session=_SESSION, command_timeout_s=600.0)
    try:
        rows: int = await connection.fetchval("select count(*) from wallet.journal")
        return rows
    finally:
        await connection.close()


async def verify(dsn: str, progress: Progress) -> Report:
    """Fold the whole journal on one snapshot and compare; raises driver errors as they are."""
    report = Report()
    connection = await connect(dsn, application_name="wallet-verify", session=_SESSION, command_timeout_s=600.0)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for shard in range(SHARDS):
                await _verify_shard(connection, shard, report, progress)
            await _verify_sums(connection, report)
    finally:
        await connection.close()
    return report


async def _verify_shard(connection: Connection, shard: int, report: Report, progress: Progress) -> None:
    fold = ShardFold(shard, report, totals_seq=await connection.fetchval(_TOTALS_SEQ, shard))
    last_seq = 0
    while rows := await connection.fetch(_JOURNAL, shard, last_seq, _ROWS_PER_READ):
        fold.add(FoldedRow(*row) for row in rows)
        last_seq = rows[-1]["seq"]
        progress(len(rows))
    stored = {row[0]: WalletState(*row[1:]) for row in await connection.fetch(_WALLETS, shard)}
    fold.compare(stored)
    fold.compare_totals({SystemAccount(*row[:3]): int(row[3]) for row in await connection.fetch(_TOTALS, shard)})


async def _verify_sums(connection: Connection, report: Report) -> None:
    for row in await connection.fetch(_UNBALANCED, _BREACHES_READ):
        place = f"transaction {row['transaction_id']}"
        report.find("I1", place, f"its {row['currency']} entries sum to {row['total']} minor units")
    for row in await connection.fetch(_INCOMPLETE, _BREACHES_READ):
        report.find("I1", f"transaction {row['transaction_id']}", f"{row['entries']} of {row['wanted']} entries stand")
    report.transactions = await connection.fetchval(_TRANSACTIONS)
