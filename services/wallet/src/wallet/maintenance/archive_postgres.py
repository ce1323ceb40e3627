"""Archiving journal partitions: each in one transaction, as the owner of the tables.

What takes long (hashing, folding, counting) comes first and blocks nobody; the partition changes hands at the
end, behind a lock that is asked for a moment at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from contracts.ids import SHARDS
from servicekit.postgres import Connection, Transaction, transaction
from wallet.adapters.row_columns import OPENING_COLUMNS, STATE_COLUMNS, StateColumns, wallet_from_row, wallet_row
from wallet.domain.facts import JournalEvent
from wallet.domain.rows import Rows, StateRow
from wallet.domain.wallets import Wallet
from wallet.maintenance.archive import ArchiveError, Partition, ShardState, archivable
from wallet.maintenance.folding import Folding
from wallet.maintenance.journal_reads import (
    EVENT_COLUMNS,
    ROW_BYTES,
    Progress,
    chained,
    journal_event,
    reading,
    rows_of_shard,
)

LOCK_TIMEOUT_MS: Final = 250
"""How long a batch may wait for this process, which itself waits for the batches before it."""
VACUUM_ENDS_S: Final = 30
"""An automatic vacuum gives way to a lock that is waited for longer than `deadlock_timeout`."""
LOCK_ATTEMPTS: Final = 40
LOCK_PAUSE_S: Final = 0.5
BATCH_S_MAX: Final = 0.15

_OLDEST: Final = """
    select n, n * wallet.partition_width(), (n + 1) * wallet.partition_width()
      from (select coalesce(max(number) + 1, 0) as n from wallet.archived_partition) oldest"""
_STATES: Final = """
    select l.shard,
           coalesce((select j.seq from wallet.journal j where j.shard = l.shard order by j.seq desc limit 1),
                    (select max(f.seq) from wallet.archive_end f where f.shard = l.shard), 0),
           l.cursor, f.seq
      from servicekit.relay_lease l join wallet.system_account_fold f using (shard)"""
_REGISTER: Final = """
    insert into wallet.archived_partition
           (number, first_seq, end_seq, rows, transactions, first_transaction_id, last_transaction_id)
    select $1, $2, $3, count(*), count(*) filter (where transaction_id is not null and entry_index = 0),
           (select transaction_id from wallet.journal where seq >= $2 and seq < $3 and transaction_id is not null
             order by transaction_id limit 1),
           (select transaction_id from wallet.journal where seq >= $2 and seq < $3 and transaction_id is not null
             order by transaction_id desc limit 1)
      from wallet.journal where seq >= $2 and seq < $3
    returning rows"""
_ARCHIVE_END: Final = "select seq, hash from wallet.archive_end where shard = $1 order by seq desc limit 1"
_ADD_ARCHIVE_END: Final = "insert into wallet.archive_end (shard, seq, hash, number) values ($1, $2, $3, $4)"
_OPENINGS: Final = f"select {OPENING_COLUMNS} from wallet.wallet_opening where shard = $1 and wallet_id = any ($2)"
_SET_OPENINGS: Final = """
    insert into wallet.wallet_opening select u.* from unnest($1::wallet.wallet_opening[]) u
        on conflict (shard, wallet_id) do update
       set status = excluded.status, restrictions = excluded.restrictions, posted_minor = excluded.posted_minor,
           held_minor = excluded.held_minor, overdraft_limit_minor = excluded.overdraft_limit_minor,
           version = excluded.version, last_at = excluded.last_at, private = excluded.private,
           operator_version = excluded.operator_version, floor_waived = excluded.floor_waived, terms = excluded.terms"""
_STATE_OPENINGS: Final = f"""
    select {STATE_COLUMNS} from wallet.state_opening where shard = $1 and (wallet_id = any ($2) or id = any ($2))"""
_SET_STATE_OPENINGS: Final = """
    insert into wallet.state_opening select u.* from unnest($1::wallet.state_opening[]) u
        on conflict (shard, kind, id) do update
       set status = excluded.status, cap_minor = excluded.cap_minor, used_minor = excluded.used_minor,
           due_at = excluded.due_at, version = excluded.version, changed_at = excluded.changed_at,
           body = excluded.body, private = excluded.private"""
_ADD_SYSTEM_ACCOUNTS: Final = """
    insert into wallet.system_account_opening as o (tenant_id, system_account, currency, shard, total_minor)
    select tenant_id, system_account, currency, shard, sum(posted_delta)
      from wallet.journal where seq >= $1 and seq < $2 and system_account is not null
     group by tenant_id, system_account, currency, shard
        on conflict (tenant_id, system_account, currency, shard)
        do update set total_minor = o.total_minor + excluded.total_minor"""
# Entries beyond the partition are missing, or (a breach that must stay in sight) the sums are not zero.
_ADD_TRANSACTIONS: Final = """
    with part as materialized (
        select transaction_id, currency, count(*) as entries, max(entry_count) as entry_count,
               sum(posted_delta) as posted_minor
          from wallet.journal where seq >= $1 and seq < $2 and transaction_id is not null
         group by transaction_id, currency)
    insert into wallet.transaction_opening as o (transaction_id, currency, entries, entry_count, posted_minor)
    select p.* from part p
      join (select transaction_id from part group by transaction_id
            having sum(entries) <> max(entry_count) or bool_or(posted_minor <> 0)) open using (transaction_id)
        on conflict (transaction_id, currency)
        do update set entries = o.entries + excluded.entries, posted_minor = o.posted_minor + excluded.posted_minor"""
_FORGET_WHOLE_TRANSACTIONS: Final = """
    delete from wallet.transaction_opening where transaction_id in (
        select transaction_id from wallet.transaction_opening group by transaction_id
        having sum(entries) = max(entry_count) and bool_and(posted_minor = 0))"""
_HOLDING: Final = """
    select virtualtransaction from pg_locks
     where relation = 'wallet.journal'::regclass and granted and pid <> pg_backend_pid()"""
_HOLDERS: Final = """
    select string_agg(distinct a.application_name || ' (pid ' || a.pid || ')', ', ')
      from pg_locks l join pg_stat_activity a using (pid)
     where l.relation = 'wallet.journal'::regclass and l.granted and l.pid <> pg_backend_pid()"""


async def archivable_partitions(connection: Connection) -> int:
    """Return how many partitions `archive` would take now."""
    row = await connection.fetchrow(_OLDEST)
    assert row is not None
    return archivable(Partition(*row), [ShardState(*state) for state in await connection.fetch(_STATES)])


class Archiver:
    """Archives the oldest attached partition; `open_archiver` makes one."""

    def __init__(self, connection: Connection, folding: Folding, *, lock_attempts: int) -> None:
        self._connection = connection
        self._folding = folding
        self._states = StateColumns(folding.kinds)
        self._lock_attempts = lock_attempts

    async def oldest(self) -> Partition:
        """Return the oldest partition that is attached."""
        row = await self._connection.fetchrow(_OLDEST)
        assert row is not None
        return Partition(*row)

    async def states(self) -> list[ShardState]:
        """Return how far every shard is. A cursor seen here is on disk before anything this process commits."""
        return [ShardState(*row) for row in await self._connection.fetch(_STATES)]

    async def is_halted(self) -> bool:
        """Return whether the relay found the topic ahead of the journal: then its cursors prove nothing."""
        halted: bool = await self._connection.fetchval(
            "select exists (select from servicekit.relay_halt where cleared_at is null)"
        )
        return halted

    async def archive(self, partition: Partition, progress: Progress) -> int:
        """Archive *partition*, wholly or not at all; return how many rows it has.

        Raises ArchiveError and JournalBreachError.
        """
        await self._bound(partition)
        async with transaction(self._connection) as tx:
            # Keeps vacuum away from the partition until the end; readers and writers go on.
            await tx.connection.execute(f"lock table wallet.journal_{partition.number} in share update exclusive mode")
            seqs = partition.first_seq, partition.end_seq
            rows: int = await tx.connection.fetchval(_REGISTER, partition.number, *seqs)
            for shard in range(SHARDS):
                await self._leave_shard(tx, partition, shard, progress)
            await tx.connection.execute(_ADD_SYSTEM_ACCOUNTS, *seqs)
            await tx.connection.execute(_ADD_TRANSACTIONS, *seqs)
            await tx.connection.execute(_FORGET_WHOLE_TRANSACTIONS)
            await self._briefly(_hand_over(partition))
        return rows

    async def _leave_shard(self, tx: Transaction, partition: Partition, shard: int, progress: Progress) -> None:
        """Write the shard's archive_end, and what the partition's rows make of its wallets and other rows."""
        archive_end = await tx.connection.fetchrow(_ARCHIVE_END, shard)
        digest = chained(b"" if archive_end is None else archive_end["hash"], [])
        seq = 0 if archive_end is None else archive_end["seq"]
        made = Rows()
        columns = f"{EVENT_COLUMNS}, {ROW_BYTES}"
        async for rows in rows_of_shard(tx.connection, columns, shard, after=seq, end=partition.end_seq):
            if rows[0][0] != seq + 1 or rows[-1][0] != seq + len(rows):
                raise ArchiveError(f"shard {shard} has a gap behind sequence {seq}: verify the ledger")
            seq = rows[-1][0]
            for row in rows:
                digest.update(row[-1])
            await self._fold(tx, shard, made, [event for row in rows if (event := journal_event(row)) is not None])
            progress(len(rows))
        if seq != partition.last_seq:
            raise ArchiveError(f"shard {shard} ends at {seq} in the partition: verify the ledger")
        await tx.connection.execute(_ADD_ARCHIVE_END, shard, seq, digest.digest(), partition.number)
        wallets = [(shard, *wallet_row(row)) for row in made.values() if isinstance(row, Wallet)]
        states = [(shard, *self._states.to_row(row)) for row in made.values() if isinstance(row, StateRow)]
        await tx.connection.execute(_SET_OPENINGS, wallets)
        await tx.connection.execute(_SET_STATE_OPENINGS, states)

    async def _fold(self, tx: Transaction, shard: int, made: Rows, events: Sequence[JournalEvent]) -> None:
        unknown = list({event.account_id for event in events} - {row.id for row in made.values() if row is not None})
        for row in await tx.connection.fetch(_OPENINGS, shard, unknown):
            made[row[0]] = wallet_from_row(row)
        for row in await tx.connection.fetch(_STATE_OPENINGS, shard, unknown):
            state = self._states.from_row(row)
            made[state.name] = state
        for event in events:
            self._folding.fold(made, event)

    async def _bound(self, partition: Partition) -> None:
        """Give the partition its range as a constraint, so that nothing is scanned while it changes hands."""
        name = f"journal_{partition.number}"
        constraint = f"{name}_range"
        if not await self._connection.fetchval(
            "select exists (select from pg_constraint where conname = $1 and conrelid = to_regclass($2))",
            constraint,
            f"wallet.{name}",
        ):
            check = f"check (seq >= {partition.first_seq} and seq < {partition.end_seq}) not valid"
            await self._briefly([f"alter table wallet.{name} add constraint {constraint} {check}"])
        # Beside this one writers and readers go on (SHARE UPDATE EXCLUSIVE on the partition).
        await self._connection.execute(f"alter table wallet.{name} validate constraint {constraint}")

    async def _briefly(self, statements: Sequence[str]) -> None:
        """Run *statements* in a transaction, or a savepoint, whose locks are waited for a moment at a time.

        While something long holds the journal (a backup, say) they are not even tried: no batch is to wait behind
        a lock that cannot be had.
        """
        for _ in range(self._lock_attempts):
            if not await self._is_held():
                try:
                    async with self._connection.transaction():
                        await self._connection.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
                        for statement in statements:
                            await self._connection.execute(statement)
                except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                    pass
                else:
                    return
            await asyncio.sleep(LOCK_PAUSE_S)
        raise ArchiveError(f"the journal is still in use by {await self._connection.fetchval(_HOLDERS)}")

    async def _is_held(self) -> bool:
        """Return whether one transaction holds the journal for as long as no batch does."""
        before = {row[0] for row in await self._connection.fetch(_HOLDING)}
        await asyncio.sleep(BATCH_S_MAX)
        return any(row[0] in before for row in await self._connection.fetch(_HOLDING))


@asynccontextmanager
async def open_archiver(
    owner_dsn: str, folding: Folding, *, lock_attempts: int = LOCK_ATTEMPTS
) -> AsyncIterator[Archiver]:
    """Give an archiver on a connection of the owner; raises JournalBusyError and driver errors."""
    async with reading(owner_dsn, application_name="wallet-archive", alone=True) as connection:
        await connection.execute(f"set lock_timeout = '{VACUUM_ENDS_S}s'")
        yield Archiver(connection, folding, lock_attempts=lock_attempts)


def _hand_over(partition: Partition) -> list[str]:
    """Return the statements that move the partition from the journal to the archive.

    DETACH takes ACCESS EXCLUSIVE on the journal and the partition, which every batch waits for, until COMMIT: a few
    milliseconds, because nothing is scanned. (DETACH CONCURRENTLY would not be in one transaction with the archive
    ends.) ATTACH takes SHARE UPDATE EXCLUSIVE on the archive. Partition making is kept out first.
    """
    name = f"wallet.journal_{partition.number}"
    bounds = f"from ({partition.first_seq}) to ({partition.end_seq})"
    return [
        "select pg_advisory_xact_lock(7, 1)",
        f"alter table wallet.journal detach partition {name}",
        f"alter table wallet.archived_journal attach partition {name} for values {bounds}",
    ]
