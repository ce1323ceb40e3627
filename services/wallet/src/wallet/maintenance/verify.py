"""Verifying the ledger: its journal folded anew and compared with everything that was derived from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

FINDINGS_MAX: Final = 100
"""More are counted, not listed."""


class FoldedRow(NamedTuple):
    """What the verifier reads of a journal row."""

    seq: int
    tenant_id: UUID
    account_id: UUID
    system_account: str | None
    version: int | None
    posted_delta: int
    held_delta: int
    posted_after: int | None
    held_after: int | None
    currency: str


class SystemAccount(NamedTuple):
    """A tenant's system account in one currency."""

    tenant_id: UUID
    name: str
    currency: str


class WalletState(NamedTuple):
    """A wallet's version and balance, folded or stored."""

    version: int
    posted_minor: int
    held_minor: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach of *invariant* (one of docs/invariants.md) at *place*, seen at *seq* of *shard* if it has one."""

    invariant: str
    place: str
    detail: str
    shard: int | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """What the archived rows of a shard, up to *seq*, made of it: where its journal goes on."""

    seq: int = 0
    wallets: Mapping[UUID, WalletState] = field(default_factory=dict)
    system_accounts_minor: Mapping[SystemAccount, int] = field(default_factory=dict)
    streams: Mapping[UUID, int] = field(default_factory=dict)
    """The versions of rows besides wallets that have events of their own."""


@dataclass(slots=True)
class Report:
    """The figures of one verification and what it found. *archived_rows* are those whose hashes were compared."""

    rows: int = 0
    archived_rows: int = 0
    wallets: int = 0
    transactions: int = 0
    system_totals_minor: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    findings_total: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return self.findings_total == 0

    def find(
        self, invariant: str, place: str, detail: str, *, shard: int | None = None, seq: int | None = None
    ) -> None:
        """Note a breach."""
        self.findings_total += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(invariant, place, detail, shard, seq))

    def take(self) -> tuple[list[Finding], int]:
        """Return the findings that are listed, and how many there were; forget them."""
        taken = self.findings, self.findings_total
        self.findings, self.findings_total = [], 0
        return taken


class ShardFold:
    """Folds one shard's journal, row by row in sequence order. A wallet's rows are all in one shard.

    It begins at *opening*; *totals_seq* is how far the system accounts' totals are folded.
    """

    def __init__(self, shard: int, report: Report, *, opening: Opening, totals_seq: int) -> None:
        self._shard = shard
        self._report = report
        self._totals_seq = totals_seq
        self._last_seq = opening.seq
        self._wallets: dict[UUID, WalletState] = dict(opening.wallets)
        self._streams: dict[UUID, int] = dict(opening.streams)
        self._totals_minor: dict[SystemAccount, int] = dict(opening.system_accounts_minor)
        for account, total_minor in opening.system_accounts_minor.items():
            self._add_figure(account, total_minor)

    @property
    def wallets(self) -> Mapping[UUID, WalletState]:
        """Every wallet met so far, as its rows make it."""
        return self._wallets

    @property
    def remembered(self) -> int:
        """How many wallets and other rows with versions were met."""
        return len(self._wallets) + len(self._streams)

    def assume(self, row: FoldedRow) -> None:
        """Believe what *row*, which is folded next, says of the one before it, where its wallet was not met yet."""
        if row.system_account is not None or row.version is None or row.version == 1:
            return
        if row.posted_after is None or row.held_after is None:
            self._streams.setdefault(row.account_id, row.version - 1)
            return
        before = WalletState(row.version - 1, row.posted_after - row.posted_delta, row.held_after - row.held_delta)
        self._wallets.setdefault(row.account_id, before)

    def add(self, rows: Iterable[FoldedRow]) -> None:
        """Fold the next *rows*."""
        for row in rows:
            self._report.rows += 1
            self._check_sequence(row)
            if row.system_account is None and row.posted_after is None:
                self._fold_stream(row)
            elif row.system_account is None:
                self._fold_wallet(row)
            else:
                self._add_system_entry(SystemAccount(row.tenant_id, row.system_account, row.currency), row)

    def compare_streams(self, stored: Mapping[UUID, int]) -> None:
        """Compare the folded versions of rows that have events of their own with the *stored* ones."""
        for row_id in sorted(self._streams.keys() | stored.keys()):
            folded, actual = self._streams.get(row_id, 0), stored.get(row_id, 0)
            if folded != actual:
                self._report.find("I11", f"row {row_id}", f"it is at version {actual}, its events end at {folded}")

    def compare(self, stored: Mapping[UUID, WalletState]) -> None:
        """Compare the folded wallets with the *stored* ones: every wallet of the shard."""
        self._report.wallets += len(stored)
        for wallet_id, state in self._wallets.items():
            if wallet_id not in stored:
                self._report.find("I2", f"wallet {wallet_id}", "it has a journal and no row")
            elif stored[wallet_id] != state:
                self._report.find("I2", f"wallet {wallet_id}", f"its row says {stored[wallet_id]}, its journal {state}")
        for wallet_id in stored.keys() - self._wallets.keys():
            self._report.find("I2", f"wallet {wallet_id}", "it has a row and no journal")

    def compare_totals(self, stored_minor: Mapping[SystemAccount, int]) -> None:
        """Compare the folded rows up to *totals_seq* with the *stored* totals of the shard."""
        if self._totals_seq > self._last_seq:
            place = f"system accounts of shard {self._shard}"
            self._report.find("I2", place, f"folded to {self._totals_seq}, the journal ends at {self._last_seq}")
        for account in sorted(self._totals_minor.keys() | stored_minor.keys()):
            actual, folded = stored_minor.get(account, 0), self._totals_minor.get(account, 0)
            if actual != folded:
                place = f"system account {account.name} of shard {self._shard}"
                self._report.find("I2", place, f"its total says {actual} minor units, its journal {folded}")

    def _add_system_entry(self, account: SystemAccount, row: FoldedRow) -> None:
        self._add_figure(account, row.posted_delta)
        if row.seq <= self._totals_seq:
            self._totals_minor[account] = self._totals_minor.get(account, 0) + row.posted_delta

    def _add_figure(self, account: SystemAccount, amount_minor: int) -> None:
        figures = self._report.system_totals_minor
        figures[account.name] = figures.get(account.name, 0) + amount_minor

    def _find(self, invariant: str, place: str, detail: str, row: FoldedRow) -> None:
        self._report.find(invariant, place, detail, shard=self._shard, seq=row.seq)

    def _check_sequence(self, row: FoldedRow) -> None:
        if row.seq != self._last_seq + 1:
            self._find("I4", f"shard {self._shard}", f"sequence {self._last_seq} is followed by {row.seq}", row)
        self._last_seq = row.seq

    def _fold_stream(self, row: FoldedRow) -> None:
        version = self._streams.get(row.account_id, 0)
        if row.version != version + 1:
            self._find("I4", f"row {row.account_id}", f"version {version} is followed by {row.version}", row)
        self._streams[row.account_id] = row.version or version + 1

    def _fold_wallet(self, row: FoldedRow) -> None:
        before = self._wallets.get(row.account_id, _NEW)
        after = WalletState(
            before.version + 1, before.posted_minor + row.posted_delta, before.held_minor + row.held_delta
        )
        actual = (row.version, row.posted_after, row.held_after)
        if actual[0] != after.version:
            self._find("I4", f"wallet {row.account_id}", f"version {before.version} is followed by {row.version}", row)
        if actual[1:] != after[1:]:
            place = f"wallet {row.account_id} version {row.version}"
            self._find("I2", place, f"row says {actual[1:]}, fold says {after[1:]}", row)
        # Go on from what the row says, so that one breach is reported once.
        self._wallets[row.account_id] = WalletState(
            row.version or after.version,
            _or(row.posted_after, after.posted_minor),
            _or(row.held_after, after.held_minor),
        )


_NEW: Final = WalletState(0, 0, 0)


def _or(actual: int | None, folded: int) -> int:
    return folded if actual is None else actual
