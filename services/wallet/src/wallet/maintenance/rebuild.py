"""Rebuilding the wallets' rows: derived from the journal again and compared with those in use, column by column."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from wallet.domain.facts import JournalBreachError, JournalEvent
from wallet.domain.wallets import Wallet
from wallet.maintenance.folding import Folding

LISTED_MAX: Final = 100
"""More are counted, not listed."""
_FREE_TEXT: Final = "private"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a wallet's row says in *column* and what its journal makes of it; free text is not shown."""

    wallet_id: UUID
    column: str
    live: str
    derived: str


@dataclass(slots=True)
class RebuildReport:
    """The figures of one rebuild, what differs, and where the journal contradicts itself."""

    rows: int = 0
    wallets: int = 0
    differing: int = 0
    repaired: int = 0
    differences: list[Difference] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    breaches_total: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether every row is now what the journal makes of it, and the journal is sound."""
        return self.differing == self.repaired and self.breaches_total == 0

    def find_breach(self, detail: str) -> None:
        """Note where the journal contradicts itself."""
        self.breaches_total += 1
        if len(self.breaches) < LISTED_MAX:
            self.breaches.append(detail)

    def _find(self, difference: Difference) -> None:
        if len(self.differences) < LISTED_MAX:
            self.differences.append(difference)

    def compare(self, live: Mapping[UUID, Wallet], derived: Mapping[UUID, Wallet]) -> list[Wallet]:
        """Compare one shard's rows; return the derived wallets whose rows are missing or differ."""
        self.wallets += len(live)
        wrong = []
        for wallet_id, wallet in derived.items():
            row = live.get(wallet_id)
            if row == wallet:
                continue
            wrong.append(wallet)
            if row is None:
                self._find(Difference(wallet_id, "row", "none", "a wallet"))
                continue
            for column in Wallet.__struct_fields__:
                actual, made = getattr(row, column), getattr(wallet, column)
                if actual != made:
                    self._find(Difference(wallet_id, column, _shown(column, actual), _shown(column, made)))
        strangers = live.keys() - derived.keys()
        for wallet_id in strangers:
            self._find(Difference(wallet_id, "row", "a wallet", "none"))
        self.differing += len(wrong) + len(strangers)
        return wrong


def _shown(column: str, value: Any) -> str:
    return "(free text)" if column == _FREE_TEXT else str(value)


class ShardRebuild:
    """One shard's wallets, from *opening* on, event by event in sequence order."""

    def __init__(
        self, shard: int, report: RebuildReport, folding: Folding, *, seq: int, opening: Mapping[UUID, Wallet]
    ) -> None:
        self._folding = folding
        self._shard = shard
        self._report = report
        self._seq = seq
        self._wallets = dict(opening)
        self._unsound: set[UUID] = set()

    @property
    def wallets(self) -> Mapping[UUID, Wallet]:
        """Every wallet whose journal is sound, as it makes it."""
        return self._wallets

    @property
    def unsound(self) -> frozenset[UUID]:
        """The wallets whose journal contradicts itself: nothing can be said of their rows."""
        return frozenset(self._unsound)

    def pass_by(self, seq: int) -> None:
        """Take the next row's sequence."""
        if seq != self._seq + 1:
            self._report.find_breach(f"shard {self._shard}: sequence {self._seq} is followed by {seq}")
        self._seq = seq

    def add(self, events: Iterable[JournalEvent]) -> None:
        """Fold the next *events*."""
        for event in events:
            if event.account_id in self._unsound:
                continue
            try:
                self._wallets[event.account_id] = self._folding.fold(self._wallets.get(event.account_id), event)
            except JournalBreachError as error:
                self._report.find_breach(str(error))
                self._unsound.add(event.account_id)
                self._wallets.pop(event.account_id, None)
