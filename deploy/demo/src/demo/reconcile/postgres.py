"""What is read from the two databases, as streams: whatever is in a table, a page of it is in memory."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from contracts.registry import TYPES_BY_NUMBER
from demo.reconcile.rows import HoldRow, JournalRow, ProjectedRow, ProjectedWallet, RefundedRow, WalletRow

T = TypeVar("T")
_json = msgspec.json.Decoder().decode
PAGE: Final = 2_000
SHARDS: Final = 64

_JOURNAL: Final = """
    select shard, seq, event_id, account_id, system_account, version, transaction_id, entry_index, entry_count, type,
           currency, posted_delta, held_delta, posted_after, held_after, occurred_at, payload
      from wallet.journal"""
_WALLETS: Final = """
    select id, owner_id, currency, status = 1, restrictions, posted_minor, held_minor, overdraft_limit_minor, version,
           opened_at, last_at
      from wallet.wallet"""
_HEADS: Final = """
    select s.shard, h.seq
      from generate_series(0, 63) s (shard)
      cross join lateral (select j.seq from wallet.journal j where j.shard = s.shard order by j.seq desc limit 1) h"""
_SHARD: Final = "get_byte(uuid_send({}), 15) & 63"
_PROJECTED: Final = f"""
    select {_SHARD.format("wallet_id")}, seq, event_id, wallet_id, null, version, transaction_id, transaction_type,
           entry_index, entry_count, type, currency, amount_minor, posted_minor_after, held_minor_after, owner_id,
           counterparty_wallet_id, counterparty_owner_id, counterparty_account, null, null, private, occurred_at,
           related_transaction_id, is_forced, refund_minor, hold_id, fee_rule
      from transaction_history.entry where transaction_id is not null
    union all
    select {_SHARD.format("wallet_id")}, seq, event_id, wallet_id, null, version, null, null,
           null, null, type, null, null, null, held_minor_after, owner_id,
           null, null, null, null, null, private, occurred_at,
           null, null, null, null, null
      from transaction_history.entry where transaction_id is null
    union all
    select {_SHARD.format("wallet_id")}, seq, event_id, wallet_id, account, null, transaction_id, transaction_type,
           entry_index, entry_count, 'ledger.system_entry_posted.v1', currency, amount_minor, null, null, null,
           null, null, null, null, null, null, occurred_at,
           null, null, null, null, null
      from transaction_history.system_entry
    union all
    select {_SHARD.format("wallet_id")}, seq, event_id, wallet_id, null, version, null, null,
           null, null, type, null, null, null, null, owner_id,
           null, null, null, source, scope, private, occurred_at,
           null, null, null, null, null
      from transaction_history.state_change
    order by 1, 2"""
_PROJECTED_WALLETS: Final = """
    select wallet_id, owner_id, currency, status = 'closed', restrictions, posted_minor, held_minor,
           overdraft_limit_minor, version, opened_at, last_at
      from transaction_history.wallet order by wallet_id"""
_HOLDS: Final = "select id, wallet_id, status, cap_minor, used_minor, body from wallet.state where kind = 2 order by id"
_REFUNDED: Final = "select id, status, cap_minor, used_minor from wallet.state where kind = 3 order by id"
_HELD: Final = """
    select w.id, w.held_minor, coalesce(h.minor, 0)::bigint
      from wallet.wallet w
      left join (select wallet_id, sum(cap_minor - used_minor) as minor from wallet.state
                  where kind = 2 and status = 0 group by wallet_id) h on h.wallet_id = w.id
     where w.held_minor <> 0 or h.minor <> 0"""
_ACCOUNTS: Final = """
    select system_account, sum(posted_delta)::bigint from wallet.journal
     where system_account is not null group by system_account"""
_PROJECTED_ACCOUNTS: Final = """
    select account, sum(amount_minor)::bigint from transaction_history.system_entry group by account"""
_PROJECTED_REFUNDS: Final = """
    select related_transaction_id, sum(refund_minor)::bigint from transaction_history.entry
     where refund_minor is not null group by related_transaction_id"""
_TABLES: Final = ("wallet", "entry", "system_entry", "state_change", "transaction", "hold", "balance_day")


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection that sees one state of its database all the while."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "demo", "work_mem": "64MB"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close()


async def journal_of_shard(connection: asyncpg.Connection, shard: int) -> AsyncIterator[JournalRow]:
    """Give a shard's journal in the order of its sequence."""
    async for row in stream(connection, f"{_JOURNAL} where shard = $1 order by seq", _journal_row, shard):
        yield row


async def journal(connection: asyncpg.Connection) -> AsyncIterator[JournalRow]:
    """Give the whole journal by (shard, seq)."""
    for shard in range(SHARDS):
        async for row in journal_of_shard(connection, shard):
            yield row


async def entries_by_transaction(connection: asyncpg.Connection) -> AsyncIterator[JournalRow]:
    """Give the entries of all transactions, ascending by transaction."""
    query = f"{_JOURNAL} where transaction_id is not null order by transaction_id, entry_index"
    async for row in stream(connection, query, _journal_row):
        yield row


async def wallets(connection: asyncpg.Connection) -> AsyncIterator[WalletRow]:
    """Give every wallet, ascending by id."""
    async for row in stream(connection, f"{_WALLETS} order by id", WalletRow._make):
        yield row


async def wallets_by_shard(connection: asyncpg.Connection) -> AsyncIterator[WalletRow]:
    """Give every wallet, ascending by shard."""
    async for row in stream(connection, f"{_WALLETS} order by {_SHARD.format('id')}", WalletRow._make):
        yield row


async def projected_rows(connection: asyncpg.Connection) -> AsyncIterator[ProjectedRow]:
    """Give what the read model made of every event, by (shard, seq)."""
    async for row in stream(connection, _PROJECTED, _projected_row):
        yield row


async def projected_wallets(connection: asyncpg.Connection) -> AsyncIterator[ProjectedWallet]:
    """Give the read model's wallets, ascending by id."""
    async for row in stream(connection, _PROJECTED_WALLETS, ProjectedWallet._make):
        yield row


async def holds(connection: asyncpg.Connection) -> AsyncIterator[HoldRow]:
    """Give every hold's row, ascending by id."""
    async for row in stream(connection, _HOLDS, HoldRow._make):
        yield row


async def refunded(connection: asyncpg.Connection) -> AsyncIterator[RefundedRow]:
    """Give the row of every transaction of which something was taken back, ascending by id."""
    async for row in stream(connection, _REFUNDED, RefundedRow._make):
        yield row


async def held(connection: asyncpg.Connection) -> AsyncIterator[tuple[UUID, int, int]]:
    """Give the wallets of which something is held: how much by the wallet's row, and by its open holds'."""
    async for row in stream(connection, _HELD, tuple):
        yield row


async def accounts(connection: asyncpg.Connection) -> Mapping[str, int]:
    """Return what every system account has by the journal."""
    return {row[0]: row[1] for row in await connection.fetch(_ACCOUNTS)}


async def projected_accounts(connection: asyncpg.Connection) -> Mapping[str, int]:
    """Return what every system account has by the read model."""
    return {row[0]: row[1] for row in await connection.fetch(_PROJECTED_ACCOUNTS)}


async def projected_refunds(connection: asyncpg.Connection) -> Mapping[UUID, int]:
    """Return how much of each transaction was taken back by the read model."""
    return {row[0]: row[1] for row in await connection.fetch(_PROJECTED_REFUNDS)}


async def heads(dsn: str) -> dict[int, int]:
    """Return the journal's highest sequence by shard."""
    return await _by_shard(dsn, _HEADS)


async def decision_heads(dsn: str) -> dict[int, int]:
    """Return the highest sequence of the decisions by shard."""
    return await _by_shard(dsn, "select shard, max(seq) from servicekit.outbox group by shard")


async def reached(dsn: str, projection: str) -> dict[int, int]:
    """Return how far a projection has come by shard; one that stopped or parked says so by staying."""
    return await _by_shard(dsn, "select shard, last_seq from servicekit.checkpoint where projection = $1", projection)


async def _by_shard(dsn: str, query: str, *values: object) -> dict[int, int]:
    async with snapshot(dsn) as connection:
        return {row[0]: row[1] for row in await connection.fetch(query, *values)}


async def hashes(dsn: str) -> Mapping[str, tuple[int, str]]:
    """Return rows and hash of each table of the read model; the order of the rows does not count."""
    found = {}
    async with snapshot(dsn) as connection:
        for table in _TABLES:
            row = await connection.fetchrow(
                f"""select count(*), coalesce(sum(('x' || substr(digest, 1, 15))::bit(60)::bigint::numeric), 0),
                           coalesce(sum(('x' || substr(digest, 17, 15))::bit(60)::bigint::numeric), 0)
                      from (select md5(t::text) as digest from transaction_history.{table} t) each"""
            )
            assert row is not None
            found[table] = (row[0], f"{int(row[1]):x}-{int(row[2]):x}")
    return found


async def stream(
    connection: asyncpg.Connection, query: str, make: Callable[[Any], T], *values: object
) -> AsyncIterator[T]:
    """Give what *make* makes of each row of *query*."""
    cursor = await connection.cursor(query, *values)
    while rows := await cursor.fetch(PAGE):
        for row in rows:
            yield make(row)


def _journal_row(record: Any) -> JournalRow:
    row: JournalRow = JournalRow._make(record)
    return row._replace(type=TYPES_BY_NUMBER[record["type"]].name)


def _projected_row(record: Any) -> ProjectedRow:
    row: ProjectedRow = ProjectedRow._make(record)
    return row if row.private is None else row._replace(private=_json(row.private))
