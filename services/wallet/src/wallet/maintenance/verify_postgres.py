"""The verifier's reads: all of the ledger on one snapshot, in pieces of a bounded size."""

from typing import Final
from uuid import UUID

import msgspec

from contracts.ids import SHARDS
from servicekit.postgres import Connection
from wallet.domain.holds import HOLD
from wallet.domain.quotes import QUOTE
from wallet.domain.refunds import TRANSACTION, Refunded
from wallet.maintenance.journal_reads import ROW_BYTES, Progress, chained, reading, rows_of_shard
from wallet.maintenance.verify import FoldedRow, Opening, Report, ShardFold, SystemAccount, WalletState
from wallet.maintenance.verify_floors import verify_floors
from wallet.maintenance.verify_refunds import REFUNDS, RefundedState, RefundFold
from wallet.maintenance.verify_usage_postgres import verify_usage

_decode_refunded: Final = msgspec.json.Decoder(Refunded).decode
_BREACHES_READ: Final = 1_000
_COLUMNS: Final = f"""
    seq, tenant_id, account_id, system_account, version, posted_delta, held_delta, posted_after, held_after, currency,
    case when type in {REFUNDS} then payload end"""
_COUNT: Final = """
    select (select count(*) from wallet.journal) + (select count(*) from wallet.archived_journal)"""
_WALLETS: Final = """
    select id, version, posted_minor, held_minor from wallet.wallet
     where get_byte(uuid_send(id), 15) & 63 = $1"""
ARCHIVE_END: Final = "select coalesce(max(seq), 0) from wallet.archive_end where shard = $1"
_OPENINGS: Final = "select wallet_id, version, posted_minor, held_minor from wallet.wallet_opening where shard = $1"
# Rows of no wallet have events of their own, but for quotes, which have none.
_STREAMS: Final = f"""
    select id, version from wallet.state
     where wallet_id is null and kind <> {QUOTE.number} and get_byte(uuid_send(id), 15) & 63 = $1"""
_STREAM_OPENINGS: Final = "select id, version from wallet.state_opening where wallet_id is null and shard = $1"
_REFUNDED: Final = f"""
    select id, used_minor, body from wallet.state
     where kind = {TRANSACTION.number} and get_byte(uuid_send(id), 15) & 63 = $1"""
_REFUNDED_OPENINGS: Final = f"""
    select id, used_minor, body from wallet.state_opening where kind = {TRANSACTION.number} and shard = $1"""
_SYSTEM_OPENINGS: Final = """
    select tenant_id, system_account, currency, total_minor from wallet.system_account_opening where shard = $1"""
_TOTALS_SEQ: Final = "select seq from wallet.system_account_fold where shard = $1"
_TOTALS: Final = """
    select tenant_id, system_account, currency, total_minor from wallet.system_account_total where shard = $1"""
_ALL: Final = "transaction_id is not null"
UNBALANCED: Final = """
    select transaction_id, currency, sum(posted_minor) as total
      from (select transaction_id, currency, posted_delta as posted_minor from wallet.journal where {where}
            union all
            select transaction_id, currency, posted_minor from wallet.transaction_opening where {where}) e
     group by transaction_id, currency having sum(posted_minor) <> 0 limit $1"""
# Whatever is held of a wallet is held by its open holds, and by nothing else.
_HELD: Final = f"""
    select w.id, w.held_minor, coalesce(h.held_minor, 0)::bigint as by_holds
      from wallet.wallet w
      full join (select s.wallet_id, sum(s.cap_minor - s.used_minor) as held_minor
                   from wallet.state s where s.kind = {HOLD.number} and s.status = 0 group by s.wallet_id) h
        on h.wallet_id = w.id
     where w.held_minor is distinct from coalesce(h.held_minor, 0) limit $1"""
INCOMPLETE: Final = """
    select transaction_id, sum(entries) as entries, max(entry_count) as wanted
      from (select transaction_id, 1 as entries, entry_count from wallet.journal where {where}
            union all
            select transaction_id, entries, entry_count from wallet.transaction_opening where {where}) e
     group by transaction_id having sum(entries) <> max(entry_count) limit $1"""
_TRANSACTIONS: Final = """
    select (select count(*) from wallet.journal where transaction_id is not null and entry_index = 0)
           + (select coalesce(sum(transactions), 0) from wallet.archived_partition)::bigint"""
_ARCHIVED: Final = """
    select a.number, a.end_seq from wallet.archived_partition a
      join pg_inherits i on i.inhparent = 'wallet.archived_journal'::regclass
                        and i.inhrelid = to_regclass('wallet.journal_' || a.number)
     order by a.number"""
_ARCHIVE_ENDS: Final = """
    select f.shard, f.seq, f.hash, before.seq as seq_before, before.hash as hash_before
      from wallet.archive_end f
      left join lateral (select b.seq, b.hash from wallet.archive_end b where b.shard = f.shard and b.seq < f.seq
                          order by b.seq desc limit 1) before on true
     where f.number = $1 order by f.shard"""


async def count_rows(dsn: str) -> int:
    """Return how many journal rows there are, for the progress bar."""
    async with reading(dsn, application_name="wallet-verify") as connection:
        rows: int = await connection.fetchval(_COUNT)
        return rows


async def verify(dsn: str, progress: Progress) -> Report:
    """Fold the whole journal on one snapshot and compare; raises JournalBusyError, and driver errors as they are."""
    report = Report()
    async with (
        reading(dsn, application_name="wallet-verify") as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for shard in range(SHARDS):
            await _verify_shard(connection, shard, report, progress)
        await _verify_sums(connection, report)
        await _verify_holds(connection, report)
        await verify_usage(connection, report)
        for partition in await connection.fetch(_ARCHIVED):
            await _verify_archived(connection, partition["number"], partition["end_seq"], report, progress)
    return report


async def _verify_shard(connection: Connection, shard: int, report: Report, progress: Progress) -> None:
    opening = await opening_of(connection, shard)
    fold = ShardFold(shard, report, opening=opening, totals_seq=await connection.fetchval(_TOTALS_SEQ, shard))
    refunds = RefundFold(await _refunded(connection, _REFUNDED_OPENINGS, shard))
    async for rows in rows_of_shard(connection, _COLUMNS, shard, after=opening.seq):
        fold.add(FoldedRow(*tuple(row)[:-1]) for row in rows)
        refunds.add(row[-1] for row in rows if row[-1] is not None)
        progress(len(rows))
    await verify_floors(connection, shard, opening.seq, report)
    refunds.compare(await _refunded(connection, _REFUNDED, shard), report)
    stored = {row[0]: WalletState(*row[1:]) for row in await connection.fetch(_WALLETS, shard)}
    fold.compare(stored)
    fold.compare_streams(await _versions(connection, _STREAMS, shard))
    fold.compare_totals(await _system_accounts(connection, _TOTALS, shard))


async def opening_of(connection: Connection, shard: int) -> Opening:
    """Return what the archived rows of a shard made of it."""
    wallets = {row[0]: WalletState(*row[1:]) for row in await connection.fetch(_OPENINGS, shard)}
    archive_end = await connection.fetchval(ARCHIVE_END, shard)
    streams = await _versions(connection, _STREAM_OPENINGS, shard)
    return Opening(archive_end, wallets, await _system_accounts(connection, _SYSTEM_OPENINGS, shard), streams)


async def _versions(connection: Connection, query: str, shard: int) -> dict[UUID, int]:
    return {row["id"]: row["version"] for row in await connection.fetch(query, shard)}


async def _refunded(connection: Connection, query: str, shard: int) -> dict[UUID, RefundedState]:
    return {
        row["id"]: RefundedState(row["used_minor"], tuple(map(str, _decode_refunded(row["body"]).refunds)))
        for row in await connection.fetch(query, shard)
    }


async def _system_accounts(connection: Connection, query: str, shard: int) -> dict[SystemAccount, int]:
    return {SystemAccount(*row[:3]): int(row[3]) for row in await connection.fetch(query, shard)}


async def _verify_sums(connection: Connection, report: Report) -> None:
    for row in await connection.fetch(UNBALANCED.format(where=_ALL), _BREACHES_READ):
        place = f"transaction {row['transaction_id']}"
        report.find("I1", place, f"its {row['currency']} entries sum to {row['total']} minor units")
    for row in await connection.fetch(INCOMPLETE.format(where=_ALL), _BREACHES_READ):
        report.find(
            "I1", f"transaction {row['transaction_id']}", f"{row['entries']} of {row['wanted']} entries are there"
        )
    report.transactions = await connection.fetchval(_TRANSACTIONS)


async def _verify_holds(connection: Connection, report: Report) -> None:
    for row in await connection.fetch(_HELD, _BREACHES_READ):
        told = f"{row['held_minor']} minor units are held, its open holds come to {row['by_holds']}"
        report.find("I11", f"wallet {row['id']}", told)


async def _verify_archived(
    connection: Connection, number: int, end_seq: int, report: Report, progress: Progress
) -> None:
    """Compare the archived partition's rows with the hashes that were left when it was detached."""
    for archive_end in await connection.fetch(_ARCHIVE_ENDS, number):
        digest = chained(archive_end["hash_before"] or b"", [])
        after = archive_end["seq_before"] or 0
        pages = rows_of_shard(
            connection,
            f"seq, {ROW_BYTES}",
            archive_end["shard"],
            after=after,
            end=end_seq,
            table="wallet.archived_journal",
        )
        async for rows in pages:
            for row in rows:
                digest.update(row[1])
            report.archived_rows += len(rows)
            progress(len(rows))
        if digest.digest() != archive_end["hash"]:
            report.find(
                "I12", f"archived partition {number}, shard {archive_end['shard']}", "its rows are not those archived"
            )
