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
from wallet.domain.holds import HOLD
from wallet.domain.mandate import Mandate
from wallet.domain.owners import owner_name
from wallet.domain.policy import POLICY, policy_id, policy_name
from wallet.domain.refunds import TRANSACTION
from wallet.domain.rows import RowKind, RowName, StateName, StateRow
from wallet.domain.wallets import Wallet, WalletStatus
from wallet.reads.queries import JournalEntry, WalletFilter

_GET: Final = f"""
    select {WALLET_COLUMNS} from wallet.wallet
    where tenant_id = $1 and id = $2 and ($3::text[] is null or owner_id = any ($3))"""
_HAS_WALLETS: Final = "select exists (select from wallet.wallet where tenant_id = $1 and owner_id = $2)"
_ENTRY_COLUMNS: Final = """
    j.transaction_id, j.entry_index, j.entry_count, j.system_account, j.account_id, j.type, j.version, j.currency,
    j.posted_delta, j.posted_after, j.occurred_at, j.payload"""
_IS_COVERED: Final = """
    ($3::text[] is null or exists (select from wallet.wallet w
                                   where w.tenant_id = $1 and w.id = j.account_id and w.owner_id = any ($3)))"""
"""Whether the entry is of a wallet of one of the owners. A system account stands beside the wallet it moved with."""
_ENTRIES: Final = f"""
    select {_ENTRY_COLUMNS}, {_IS_COVERED} as is_covered
    from wallet.journal j where j.tenant_id = $1 and j.transaction_id = any ($2)"""
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
    select {_ENTRY_COLUMNS}, {_IS_COVERED} as is_covered from wallet.archived_journal j
     where j.tenant_id = $1 and j.transaction_id = any ($2) and j.seq >= $4 and j.seq < $5"""
_BY_REFERENCE: Final = """
    select r.transaction_id from wallet.transaction_reference r
     where r.tenant_id = $1 and r.reference_hash = $2 and ($4::uuid is null or r.transaction_id < $4)
       and ($3::text[] is null
            or exists (select from wallet.journal j join wallet.wallet w on w.id = j.account_id
                       where j.tenant_id = $1 and j.transaction_id = r.transaction_id
                         and w.tenant_id = $1 and w.owner_id = any ($3))
            or exists (select from wallet.archived_journal j join wallet.wallet w on w.id = j.account_id
                       where j.tenant_id = $1 and j.transaction_id = r.transaction_id
                         and w.tenant_id = $1 and w.owner_id = any ($3)))
     order by r.transaction_id desc limit $5"""

_STATE_COLUMNS: Final = ", ".join(f"s.{name}" for name in StateRow.__struct_fields__)
_IS_HOLD_COVERED: Final = """
    ($2::text[] is null or exists (select from wallet.wallet w
                                   where w.tenant_id = $1 and w.id = s.wallet_id and w.owner_id = any ($2)))"""
_HOLD: Final = f"""
    select {_STATE_COLUMNS} from wallet.state s
     where s.tenant_id = $1 and s.kind = {HOLD.number} and s.id = $3 and {_IS_HOLD_COVERED}"""
_OPEN_HOLDS: Final = f"""
    select {_STATE_COLUMNS} from wallet.state s
     where s.tenant_id = $1 and s.wallet_id = $3 and s.kind = {HOLD.number} and s.status = 0
       and ($4::uuid is null or s.id < $4) and {_IS_HOLD_COVERED}
     order by s.id desc limit $5"""

_REFUNDED: Final = f"""
    select {_STATE_COLUMNS} from wallet.state s
     where s.tenant_id = $1 and s.kind = {TRANSACTION.number} and s.id = any ($2)"""

_STATUS_PREDICATES: Final = {
    "open": f"status = {WalletStatus.OPEN.value} and restrictions is null",
    "frozen": f"status = {WalletStatus.OPEN.value} and restrictions is not null",
    "closed": f"status = {WalletStatus.CLOSED.value}",
}


class LedgerReads:
    """Reads and snapshots through *tenants*. Raises as `Pool.connection` does."""

    def __init__(self, tenants: TenantPool, kinds: Iterable[RowKind] = ()) -> None:
        self._tenants = tenants
        self._states = StateColumns(kinds)
        self._reader = BatchReader(self._states)

    async def wallet(self, mandate: Mandate, wallet_id: UUID) -> Wallet | None:
        """Return the wallet as of now if *mandate* covers it, else None."""
        async with self._tenants.reading(mandate.tenant_id) as connection:
            row = await connection.fetchrow(_GET, mandate.tenant_id, wallet_id, mandate.owners)
        return None if row is None else wallet_from_row(row)

    async def wallets(self, mandate: Mandate, wanted: WalletFilter, *, before: UUID | None, limit: int) -> list[Wallet]:
        """Return up to *limit* wallets that *mandate* covers, newest first, older than *before*."""
        asked = where(replace(wanted, status=None), tenant_id=mandate.tenant_id)  # a status is not a column
        if mandate.owners is not None:
            asked.require(f"owner_id = any ({asked.value(mandate.owners)}::text[])")
        if wanted.status is not None:
            asked.require(_STATUS_PREDICATES[wanted.status])
        asked.before(("id",), None if before is None else (before,))
        query = f"select {WALLET_COLUMNS} from wallet.wallet {asked} order by id desc limit {asked.value(limit)}"
        async with self._tenants.reading(mandate.tenant_id) as connection:
            return [wallet_from_row(row) for row in await connection.fetch(query, *asked.values)]

    async def snapshot(self, tenant_id: UUID, names: Collection[RowName]) -> BatchInput:
        """Return those of the named rows that are the tenant's, and the time, as of one snapshot.

        Without a lock and without keys.
        """
        async with self._tenants.reading(tenant_id) as connection:
            return await self._reader.read(connection, names)

    async def state(self, tenant_id: UUID, kind: RowKind, row_id: UUID) -> StateRow | None:
        """Return the tenant's row of *kind* as of now, None where there is none: one that is no wallet's."""
        name = StateName(kind.number, row_id)
        return (await self.snapshot(tenant_id, [name])).rows.state(kind, row_id, tenant_id)

    async def policy(self, tenant_id: UUID) -> StateRow | None:
        """Return the tenant's policy as of now, None where none was ever set."""
        return await self.state(tenant_id, POLICY, policy_id(tenant_id))

    async def limited(self, mandate: Mandate, wallet_id: UUID) -> BatchInput | None:
        """Return a wallet that *mandate* covers with its owner and policy, as of one snapshot, else None."""
        wallet = await self.wallet(mandate, wallet_id)
        if wallet is None:
            return None
        names = (wallet_id, policy_name(wallet.tenant_id), owner_name(wallet.tenant_id, wallet.owner_id))
        return await self.snapshot(wallet.tenant_id, names)

    async def owner(self, mandate: Mandate, owner_id: str) -> tuple[StateRow | None, bool]:
        """Return the owner's row, None where there is none, and whether wallets are the owner's."""
        name = owner_name(mandate.tenant_id, owner_id)
        found = (await self.snapshot(mandate.tenant_id, [name])).rows[name]
        async with self._tenants.reading(mandate.tenant_id) as connection:
            has_wallets: bool = await connection.fetchval(_HAS_WALLETS, mandate.tenant_id, owner_id)
        return (found if isinstance(found, StateRow) else None), has_wallets

    async def hold(self, mandate: Mandate, hold_id: UUID) -> StateRow | None:
        """Return the hold as of now if *mandate* covers its wallet, else None."""
        async with self._tenants.reading(mandate.tenant_id) as connection:
            row = await connection.fetchrow(_HOLD, mandate.tenant_id, mandate.owners, hold_id)
        return None if row is None else self._states.from_row(row)

    async def open_holds(self, mandate: Mandate, wallet_id: UUID, *, before: UUID | None, limit: int) -> list[StateRow]:
        """Return up to *limit* open holds of a wallet that *mandate* covers, newest first, older than *before*."""
        asked = mandate.tenant_id, mandate.owners, wallet_id
        async with self._tenants.reading(mandate.tenant_id) as connection:
            rows = await connection.fetch(_OPEN_HOLDS, *asked, before, limit)
        return [self._states.from_row(row) for row in rows]

    async def entries(self, mandate: Mandate, transaction_ids: Sequence[UUID]) -> list[JournalEntry]:
        """Return the entries of the transactions, newest transaction first, each in entry order.

        A transaction of whose wallets *mandate* covers none is as if there were none.
        """
        asked = mandate.tenant_id, transaction_ids, mandate.owners
        async with self._tenants.reading(mandate.tenant_id) as connection:
            rows = await connection.fetch(_ENTRIES, *asked)
            missing = _incomplete(transaction_ids, rows)
            partitions = await connection.fetch(_AROUND, missing) if missing else []
            if partitions:
                seqs = partitions[0]["first_seq"], partitions[-1]["end_seq"]
                rows.extend(
                    await connection.fetch(_ARCHIVED_ENTRIES, mandate.tenant_id, missing, mandate.owners, *seqs)
                )
                is_away = not all(partition["is_here"] for partition in partitions)
                if is_away and _incomplete(missing, rows):
                    raise Unavailable("The part of the journal that may hold the transaction is archived elsewhere.")
        # Archiving between the two statements may show a row twice.
        seen = {row["transaction_id"] for row in rows if row["is_covered"]}
        entries = {(row["transaction_id"], row["entry_index"]): row for row in rows if row["transaction_id"] in seen}
        newest_first = sorted(entries.values(), key=lambda row: row["entry_index"])
        newest_first.sort(key=lambda row: row["transaction_id"].bytes, reverse=True)
        return [_entry(row) for row in newest_first]

    async def refunded(self, tenant_id: UUID, transaction_ids: Sequence[UUID]) -> dict[UUID, StateRow]:
        """Return the rows of those of the transactions of which something was taken back, by their ids."""
        async with self._tenants.reading(tenant_id) as connection:
            rows = await connection.fetch(_REFUNDED, tenant_id, transaction_ids)
        return {row["id"]: self._states.from_row(row) for row in rows}

    async def transactions_by_reference(
        self, mandate: Mandate, reference_hash: bytes, *, before: UUID | None, limit: int
    ) -> list[UUID]:
        """Return up to *limit* ids of the transactions under a reference, newest first, older than *before*.

        They are those that *mandate* covers a wallet of.
        """
        asked = mandate.tenant_id, reference_hash, mandate.owners
        async with self._tenants.reading(mandate.tenant_id) as connection:
            rows = await connection.fetch(_BY_REFERENCE, *asked, before, limit)
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
        type=row["type"],
        version=row["version"],
        currency=row["currency"],
        amount_minor=row["posted_delta"],
        posted_minor_after=row["posted_after"],
        occurred_at=row["occurred_at"],
        payload=row["payload"],
        is_covered=row["is_covered"],
    )
