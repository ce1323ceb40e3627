"""Questions to the history: how fresh the answer is comes with each, and a parked wallet is never passed over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.events import TRANSACTION_REVERSED
from contracts.ids import shard_of
from servicekit.principal import Principal
from servicekit.read_model.projected import Freshness, Projected, SubjectParked, freshness
from transaction_history.domain.rows import EntryRow, SystemEntryRow, WalletRow
from transaction_history.reads.reads_postgres import HistoryReads, Refund


class WalletUnknown(Exception):
    """There is no such wallet, or it is not the caller's to see."""


class OpenedLater(Exception):
    """The wallet was opened after the instant that is asked for."""

    def __init__(self, opened_at: datetime) -> None:
        super().__init__(opened_at)
        self.opened_at = opened_at


class TransactionUnknown(Exception):
    """There is no such transaction, or it is not the caller's to see."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries, newest first."""

    rows: Sequence[EntryRow]
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class TransactionEntries:
    """The entries of a transaction that have been read from the topic so far; *is_complete* when all have.

    *refunds* are what was taken back of it so far.
    """

    entries: Sequence[EntryRow]
    system_entries: Sequence[SystemEntryRow]
    refunds: Sequence[Refund]
    freshness: Freshness

    @property
    def refunded(self) -> tuple[str, int, str] | None:
        """How much of it was taken back: its status, and the sum with its currency; None for nothing."""
        if not self.refunds:
            return None
        refunded_minor = sum(refund.minor for refund in self.refunds)
        if any(refund.type == TRANSACTION_REVERSED.name for refund in self.refunds):
            status = "reversed"
        else:
            is_all = refunded_minor == self.refunds[0].refundable_minor
            status = "refunded" if is_all else "partially_refunded"
        return status, refunded_minor, self.refunds[0].currency

    @property
    def is_complete(self) -> bool:
        """Whether every entry of the transaction is there."""
        first = self.entries[0] if self.entries else self.system_entries[0]
        return len(self.entries) + len(self.system_entries) == first.entry_count


@dataclass(frozen=True, slots=True)
class BalanceAt:
    """A wallet's balance at an instant: after its last entry up to then, or its last change of holds alone."""

    wallet: WalletRow
    version: int
    posted_minor: int
    held_minor: int
    freshness: Freshness


class HistoryQueries:
    """Answers for one caller at a time: what is not of its tenant and of the owners it acts for is not there.

    Every question may name a position to wait for, empty for none.
    """

    def __init__(self, reads: HistoryReads, projected: Projected) -> None:
        self._reads = reads
        self._projected = projected

    async def wallet_entries(
        self,
        caller: Principal,
        wallet_id: UUID,
        *,
        before_version: int | None,
        limit: int,
        min_position: Mapping[int, int],
    ) -> Entries:
        """Return up to *limit* of a wallet's entries; raises WalletUnknown and SubjectParked."""
        progress = await self._projected.progress_after(min_position)
        await self._known_wallet(caller, wallet_id)
        rows = await self._reads.wallet_entries(caller, wallet_id, before_version=before_version, limit=limit)
        return Entries(rows, freshness(progress, [*min_position, shard_of(wallet_id)]))

    async def owner_entries(
        self,
        caller: Principal,
        owner_id: str,
        *,
        before: tuple[datetime, UUID] | None,
        limit: int,
        min_position: Mapping[int, int],
    ) -> Entries:
        """Return up to *limit* entries of an owner's wallets, none for an unknown owner; raises SubjectParked."""
        progress = await self._projected.progress_after(min_position)
        scope = await self._reads.owner_scope(caller, owner_id)
        if scope.is_parked:
            raise SubjectParked
        rows = await self._reads.owner_entries(caller, owner_id, before=before, limit=limit)
        return Entries(rows, freshness(progress, [*min_position, *scope.shards]))

    async def transaction(
        self, caller: Principal, transaction_id: UUID, *, min_position: Mapping[int, int]
    ) -> TransactionEntries:
        """Return a transaction's entries; raises TransactionUnknown and SubjectParked."""
        progress = await self._projected.progress_after(min_position)
        entries, system_entries = await self._reads.transaction(caller, transaction_id)
        if not entries and not system_entries:
            raise TransactionUnknown
        touched = {row.wallet_id for row in entries} | {row.wallet_id for row in system_entries}
        touched |= {row.counterparty_wallet_id for row in entries if row.counterparty_wallet_id is not None}
        await self._projected.refuse_parked(list(touched))
        refunds = await self._reads.refunds(caller, transaction_id)
        return TransactionEntries(
            entries, system_entries, refunds, freshness(progress, [*min_position, *map(shard_of, touched)])
        )

    async def balance_at(
        self, caller: Principal, wallet_id: UUID, at: datetime, *, min_position: Mapping[int, int]
    ) -> BalanceAt:
        """Return a wallet's balance at *at*; raises WalletUnknown, OpenedLater and SubjectParked."""
        progress = await self._projected.progress_after(min_position)
        wallet = await self._known_wallet(caller, wallet_id)
        if at < wallet.opened_at:
            raise OpenedLater(wallet.opened_at)
        entry = await self._reads.entry_at(caller, wallet_id, at)
        version, posted_minor, held_minor = (
            (0, 0, 0) if entry is None else (entry.version, entry.posted_minor_after, entry.held_minor_after)
        )
        told = freshness(progress, [*min_position, shard_of(wallet_id)])
        return BalanceAt(wallet, version, posted_minor, held_minor, told)

    async def _known_wallet(self, caller: Principal, wallet_id: UUID) -> WalletRow:
        wallet = await self._reads.wallet(caller, wallet_id)
        if wallet is None:
            raise WalletUnknown
        await self._projected.refuse_parked([wallet_id])
        return wallet
