"""Strongly consistent reads: wallets from their rows, transactions from the journal. Every read is of one tenant."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import asyncpg

from servicekit.conditions import where
from servicekit.failures import Unavailable
from servicekit.tenant_pool import TenantPool
from wallet.adapters.batch_reads import BatchReader
from wallet.adapters.row_columns import WALLET_COLUMNS, StateColumns, wallet_from_row
from wallet.application.rows import BatchInput
from wallet.domain.rows import RowKind, RowName
from wallet.domain.wallets import Wallet, WalletStatus
from wallet.reads.queries import JournalEntry, WalletFilter

_GET: Final = f"select {WALLET_COLUMNS} from wallet.wallet where tenant_id = $1 and id = $2"
_ENTRY_COLUMNS: Final = """
    j.transaction_id, j.entry_index, j.entry_count, j.system_account, j.account_id, j.version, j.currency,
    j.posted_delta, j.posted_after, j.occurred_at, j.payload"""
_ENTRIES: Final = f"""
    select {_ENTRY_COLUMNS} from wallet.journal j where j.tenant_id = $1 and j.transaction_id = any ($2)"""
# Ids are made in the order of time: of all archived partitions only those are read whose transactions lie around them.
_AROUND: Final = """
    select p.first_seq, p.end_seq,
           exists (select from pg_inherits i where i.inhparent = 'wallet.archived_journal'::regclass
                      and i.inhrelid = to_regclass('wallet.journal_' || p.number)) as is_here
      from wallet.archived_partition p
     where exists (select from unnest($1::uuid[]) t (id)
                    where t.id between p.first_transaction_id and p.last_transaction_id)
     order by p.number"""
_ARCHIVED_ENTRIES: Final = f"""
    select {_ENTRY_COLUMNS} from wallet.archived_journal j
     where j.tenant_id = $1 and j.transaction_id = any ($2) and j.seq >= $3 and j.seq < $4"""
_BY_REFERENCE: Final = """
    select transaction_id from wallet.transaction_reference
     where tenant_id = $1 and reference_hash = $2 and ($3::uuid is null or transaction_id < $3)
     order by transaction_id desc limit $4"""


_STATUS_PREDICATES: Final = {
    "open": f"status = {WalletStatus.OPEN.value} and restrictions is null",
    "frozen": f"status = {WalletStatus.OPEN.value} and restrictions is not null",
    "closed": f"status = {WalletStatus.CLOSED.value}",
}


class LedgerReads:
    """Reads and snapshots through *tenants*. Raises as `Pool.connection` does."""

    def __init__(self, tenants: TenantPool, kinds: Iterable[RowKind] = ()) -> None:
        self._tenants = tenants
        self._reader = BatchReader(StateColumns(kinds))

    async def wallet(self, tenant_id: UUID, wallet_id: UUID) -> Wallet | None:
        """Return the wallet as of now, or None."""
        async with self._tenants.reading(tenant_id) as connection:
            row = await connection.fetchrow(_GET, tenant_id, wallet_id)
        return None if row is None else wallet_from_row(row)

    async def wallets(self, tenant_id: UUID, wanted: WalletFilter, *, before: UUID | None, limit: int) -> list[Wallet]:
        """Return up to *limit* wallets, newest first, older than *before*."""
        asked = where(replace(wanted, status=None), tenant_id=tenant_id)  # a status is not a column
        if wanted.status is not None:
            asked.require(_STATUS_PREDICATES[wanted.status])
        asked.before(("id",), None if before is None else (before,))
        query = f"select {WALLET_COLUMNS} from wallet.wallet {asked} order by id desc limit {asked.value(limit)}"
        async with self._tenants.reading(tenant_id) as connection:
            return [wallet_from_row(row) for row in await connection.fetch(query, *asked.values)]

    async def snapshot(self, tenant_id: UUID, names: Collection[RowName]) -> BatchInput:
        """Return those of the named rows that are the tenant's, and the time, as of one snapshot.

        Without a lock and without keys.
        """
        async with self._tenants.reading(tenant_id) as connection:
            return await self._reader.read(connection, names)

    async def entries(self, tenant_id: UUID, transaction_ids: Sequence[UUID]) -> list[JournalEntry]:
        """Return the entries of the transactions, newest transaction first, each in entry order."""
        async with self._tenants.reading(tenant_id) as connection:
            rows = await connection.fetch(_ENTRIES, tenant_id, transaction_ids)
            missing = _incomplete(transaction_ids, rows)
            partitions = await connection.fetch(_AROUND, missing) if missing else []
            if partitions:
                seqs = partitions[0]["first_seq"], partitions[-1]["end_seq"]
                rows.extend(await connection.fetch(_ARCHIVED_ENTRIES, tenant_id, missing, *seqs))
                is_away = not all(partition["is_here"] for partition in partitions)
                if is_away and _incomplete(missing, rows):
                    raise Unavailable("The part of the journal that may hold the transaction is archived elsewhere.")
        # Archiving between the two statements may show a row twice.
        entries = {(row["transaction_id"], row["entry_index"]): row for row in rows}
        newest_first = sorted(entries.values(), key=lambda row: row["entry_index"])
        newest_first.sort(key=lambda row: row["transaction_id"].bytes, reverse=True)
        return [_entry(row) for row in newest_first]

    async def transactions_by_reference(
        self, tenant_id: UUID, reference_hash: bytes, *, before: UUID | None, limit: int
    ) -> list[UUID]:
        """Return up to *limit* ids of the transactions under a reference, newest first, older than *before*."""
        async with self._tenants.reading(tenant_id) as connection:
            rows = await connection.fetch(_BY_REFERENCE, tenant_id, reference_hash, before, limit)
        return [row["transaction_id"] for row in rows]


def _incomplete(transaction_ids: Sequence[UUID], rows: Sequence[asyncpg.Record]) -> list[UUID]:
    """Return which of *transaction_ids* have fewer rows than entries."""
    wanted = {row["transaction_id"]: row["entry_count"] for row in rows}
    found = Counter(row["transaction_id"] for row in rows)
    return [each for each in transaction_ids if found[each] < wanted.get(each, 1)]


def _entry(row: asyncpg.Record) -> JournalEntry:
    return JournalEntry(
        transaction_id=row["transaction_id"],
        system_account=row["system_account"],
        wallet_id=row["account_id"],
        version=row["version"],
        currency=row["currency"],
        amount_minor=row["posted_delta"],
        posted_minor_after=row["posted_after"],
        occurred_at=row["occurred_at"],
        payload=row["payload"],
    )
