"""Rebuilding the wallets' rows in PostgreSQL: on one snapshot, or, to repair them, with every writer shut out."""

from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg

from contracts.ids import SHARDS
from servicekit.postgres import Connection, Transaction, transaction
from wallet.adapters.ledger_postgres import COMMITTER
from wallet.adapters.row_columns import (
    OPENING_COLUMNS,
    STATE_COLUMNS,
    WALLET_COLUMNS,
    StateColumns,
    wallet_from_row,
    wallet_row,
)
from wallet.domain.rows import Row, RowName, Rows, StateRow
from wallet.domain.wallets import Wallet
from wallet.maintenance.folding import Folding
from wallet.maintenance.journal_reads import EVENT_COLUMNS, Progress, journal_event, reading, rows_of_shard
from wallet.maintenance.rebuild import RebuildReport, ShardRebuild

_NAME: Final = "wallet-rebuild"
_ROWS: Final = """
    select coalesce(sum(h.seq - coalesce(f.seq, 0)), 0)::bigint
      from generate_series(0, 63) s(shard)
      cross join lateral (select j.seq from wallet.journal j where j.shard = s.shard order by j.seq desc limit 1) h
      left join (select shard, max(seq) as seq from wallet.archive_end group by shard) f using (shard)"""
_WALLETS: Final = f"select {WALLET_COLUMNS} from wallet.wallet where get_byte(uuid_send(id), 15) & 63 = $1"
_STATES: Final = f"""
    select {STATE_COLUMNS} from wallet.state where get_byte(uuid_send(id), 15) & 63 = $1 and kind = any ($2)"""
_STATE_OPENINGS: Final = f"select {STATE_COLUMNS} from wallet.state_opening where shard = $1"
_OPENINGS: Final = f"select {OPENING_COLUMNS} from wallet.wallet_opening where shard = $1"
_ARCHIVE_END: Final = "select coalesce(max(seq), 0) from wallet.archive_end where shard = $1"
_COMMITTERS: Final = """
    select count(*) from pg_stat_activity where datname = current_database() and application_name = $1"""
_KEEP: Final = """
    insert into wallet.wallet_repair (wallet_id, operator, was)
    select r.id, $2, to_jsonb(w) - 'private' from unnest($1::uuid[]) r (id) left join wallet.wallet w using (id)"""
_KEEP_STATES: Final = """
    insert into wallet.wallet_repair (wallet_id, operator, was)
    select r.wallet_id, $3, to_jsonb(s) - 'private' - 'body'
      from unnest($1::uuid[], $2::uuid[]) r (id, wallet_id) left join wallet.state s using (id)"""
_REPAIR_STATES: Final = f"""
    insert into wallet.state ({STATE_COLUMNS}, stamp)
    select u.kind, u.id, u.tenant_id, u.wallet_id, u.status, u.cap_minor, u.used_minor, u.due_at, u.version,
           u.changed_at, u.body, u.private, random(0, 9223372036854775807)
      from unnest($1::wallet.state_opening[]) u
        on conflict (kind, id) do update
       set tenant_id = excluded.tenant_id, wallet_id = excluded.wallet_id, status = excluded.status,
           cap_minor = excluded.cap_minor, used_minor = excluded.used_minor, due_at = excluded.due_at,
           version = excluded.version, changed_at = excluded.changed_at, body = excluded.body,
           private = excluded.private, stamp = excluded.stamp"""
# wallet_opening and state_opening have a row's columns behind its shard.
_REPAIR: Final = """
    insert into wallet.wallet (id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor,
                               overdraft_limit_minor, version, opened_at, last_at, private, operator_version,
                               floor_waived, terms, stamp)
    select u.wallet_id, u.tenant_id, u.owner_id, u.currency, u.status, u.restrictions, u.posted_minor, u.held_minor,
           u.overdraft_limit_minor, u.version, u.opened_at, u.last_at, u.private, u.operator_version,
           u.floor_waived, u.terms, random(0, 9223372036854775807)
      from unnest($1::wallet.wallet_opening[]) u
        on conflict (id) do update
       set tenant_id = excluded.tenant_id, owner_id = excluded.owner_id, currency = excluded.currency,
           status = excluded.status, restrictions = excluded.restrictions, posted_minor = excluded.posted_minor,
           held_minor = excluded.held_minor, overdraft_limit_minor = excluded.overdraft_limit_minor,
           version = excluded.version, opened_at = excluded.opened_at, last_at = excluded.last_at,
           private = excluded.private, operator_version = excluded.operator_version,
           floor_waived = excluded.floor_waived, terms = excluded.terms, stamp = excluded.stamp"""


class RepairRefusedError(Exception):
    """Nothing was repaired; the message says why."""


async def count_rows(dsn: str) -> int:
    """Return how many journal rows a rebuild reads, for the progress bar."""
    async with reading(dsn, application_name=_NAME) as connection:
        rows: int = await connection.fetchval(_ROWS)
        return rows


async def rebuild(dsn: str, folding: Folding, progress: Progress) -> RebuildReport:
    """Derive every row from the journal on one snapshot and compare; writers go on."""
    report = RebuildReport()
    async with (
        reading(dsn, application_name=_NAME) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for shard in range(SHARDS):
            await _rebuild_shard(connection, shard, report, folding, progress)
    return report


async def repair(dsn: str, folding: Folding, progress: Progress, *, operator: str) -> RebuildReport:
    """Rebuild, and set the rows that differ to what the journal makes of them, all in one transaction.

    The API must be stopped: a committer decides on rows it remembers, which a repair does not reach. One that starts
    meanwhile waits. Raises RepairRefusedError, also where the journal contradicts itself: then it is what must be
    restored.
    """
    report, states = RebuildReport(), StateColumns(folding.kinds)
    async with reading(dsn, application_name=_NAME) as connection, transaction(connection) as tx:
        # Shuts out every batch, which locks, adds or updates rows of it; reads go on.
        await tx.connection.execute("lock table wallet.wallet, wallet.state in exclusive mode")
        if await tx.connection.fetchval(_COMMITTERS, COMMITTER):
            raise RepairRefusedError("a committer is connected: stop every `wallet api` and `wallet decisions` first")
        for shard in range(SHARDS):
            wrong = await _rebuild_shard(tx.connection, shard, report, folding, progress)
            await _set_wallets(tx, [row for row in wrong if isinstance(row, Wallet)], operator)
            await _set_states(tx, states, [row for row in wrong if isinstance(row, StateRow)], operator)
            report.repaired += len(wrong)
        if report.breaches_total:
            raise RepairRefusedError(f"the journal contradicts itself, so nothing was repaired: {report.breaches[0]}")
    return report


async def _rebuild_shard(
    connection: Connection, shard: int, report: RebuildReport, folding: Folding, progress: Progress
) -> Sequence[Row]:
    """Return the rows that differ."""
    states = StateColumns(folding.kinds)
    opening = Rows({row[0]: wallet_from_row(row) for row in await connection.fetch(_OPENINGS, shard)})
    opening.update(_by_name(states, await connection.fetch(_STATE_OPENINGS, shard)))
    rebuilt = ShardRebuild(shard, report, folding, seq=await connection.fetchval(_ARCHIVE_END, shard), opening=opening)
    async for rows in rows_of_shard(
        connection, EVENT_COLUMNS, shard, after=await connection.fetchval(_ARCHIVE_END, shard)
    ):
        for row in rows:
            rebuilt.pass_by(row[0])
        rebuilt.add(event for row in rows if (event := journal_event(row)) is not None)
        report.rows += len(rows)
        progress(len(rows))
    live: dict[RowName, Row] = {row[0]: wallet_from_row(row) for row in await connection.fetch(_WALLETS, shard)}
    told = [kind.number for kind in folding.kinds if kind.has_events]
    live.update(_by_name(states, await connection.fetch(_STATES, shard, told)))
    return report.compare({name: row for name, row in live.items() if not rebuilt.is_unsound(row)}, rebuilt.rows)


def _by_name(states: StateColumns, rows: Iterable[asyncpg.Record]) -> dict[RowName, Row]:
    made = (states.from_row(row) for row in rows)
    return {row.name: row for row in made}


async def _set_states(tx: Transaction, columns: StateColumns, states: Sequence[StateRow], operator: str) -> None:
    if not states:
        return
    ids, wallet_ids = [row.id for row in states], [row.wallet_id for row in states]
    await tx.connection.execute(_KEEP_STATES, ids, wallet_ids, operator)
    await tx.connection.execute(_REPAIR_STATES, [(0, *columns.to_row(row)) for row in states])


async def _set_wallets(tx: Transaction, wallets: Sequence[Wallet], operator: str) -> None:
    if not wallets:
        return
    await tx.connection.execute(_KEEP, [wallet.id for wallet in wallets], operator)
    await tx.connection.execute(_REPAIR, [(0, *wallet_row(wallet)) for wallet in wallets])
