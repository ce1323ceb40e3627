"""Rebuilding the ledger's rows: derived from the journal again and compared with those in use, column by column."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec

from wallet.domain.facts import JournalBreachError, JournalEvent
from wallet.domain.owners import Owner
from wallet.domain.rows import Row, RowName, Rows, StateRow
from wallet.domain.wallets import Wallet
from wallet.maintenance.folding import Folding

LISTED_MAX: Final = 100
"""More are counted, not listed."""
_FREE_TEXT: Final = "private"


@dataclass(frozen=True, slots=True)
class Difference:
    """What the row *name* says in *column* and what its journal makes of it; free text is not shown."""

    name: RowName
    column: str
    live: str
    derived: str


@dataclass(slots=True)
class RebuildReport:
    """The figures of one rebuild, what differs, and where the journal contradicts itself."""

    rows: int = 0
    wallets: int = 0
    states: int = 0
    """Rows of other kinds."""
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

    def compare(self, live: Mapping[RowName, Row], derived: Mapping[RowName, Row]) -> list[Row]:
        """Compare one shard's rows; return the derived ones whose rows are missing or differ."""
        self.wallets += sum(isinstance(row, Wallet) for row in live.values())
        self.states += sum(isinstance(row, StateRow) for row in live.values())
        wrong = []
        for name, made in derived.items():
            row = _as_derived(live.get(name))
            if row == made:
                continue
            wrong.append(_with_usage(made, live.get(name)))
            if row is None:
                self._find(Difference(name, "row", "none", "a row"))
                continue
            for column in made.__struct_fields__:
                actual, wanted = getattr(row, column), getattr(made, column)
                if actual != wanted:
                    self._find(Difference(name, column, _shown(column, actual), _shown(column, wanted)))
        strangers = {name for name, row in live.items() if _has_events(row)} - derived.keys()
        for name in strangers:
            self._find(Difference(name, "row", "a row", "none"))
        self.differing += len(wrong) + len(strangers)
        return wrong


def _as_derived(row: Row | None) -> Row | None:
    """Return *row* without what no event tells: usage is counted again by `wallet verify`."""
    if isinstance(row, Wallet) and row.usage:
        return msgspec.structs.replace(row, usage=())
    if isinstance(row, StateRow) and isinstance(row.body, Owner) and row.body.usage:
        return msgspec.structs.replace(row, body=msgspec.structs.replace(row.body, usage=()))
    return row


def _has_events(row: Row) -> bool:
    """Return whether the journal tells of *row*: of an owner of whom things were only counted it does not."""
    return not (isinstance(row, StateRow) and isinstance(row.body, Owner) and row.version == 0)


def _with_usage(made: Row, live: Row | None) -> Row:
    """Return the row *made* of the journal with what *live* has that no event tells."""
    if not (isinstance(made, StateRow) and isinstance(made.body, Owner) and isinstance(live, StateRow)):
        return made  # a wallet's is left alone where rows are repaired
    assert isinstance(live.body, Owner)
    return msgspec.structs.replace(made, body=msgspec.structs.replace(made.body, usage=live.body.usage))


def _shown(column: str, value: Any) -> str:
    return "(free text)" if column == _FREE_TEXT else str(value)


class ShardRebuild:
    """One shard's rows, from *opening* on, event by event in sequence order."""

    def __init__(self, shard: int, report: RebuildReport, folding: Folding, *, seq: int, opening: Rows) -> None:
        self._folding = folding
        self._shard = shard
        self._report = report
        self._seq = seq
        self._rows = opening
        self._unsound: set[UUID] = set()

    @property
    def rows(self) -> Mapping[RowName, Row]:
        """Every row whose wallet's journal is sound, as it makes it."""
        return {name: row for name, row in self._rows.items() if row is not None and not self.is_unsound(row)}

    def is_unsound(self, row: Row) -> bool:
        """Tell whether the journal of the row's wallet contradicts itself: nothing can be said of it."""
        return (row.id if isinstance(row, Wallet) or row.wallet_id is None else row.wallet_id) in self._unsound

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
                self._folding.fold(self._rows, event)
            except JournalBreachError as error:
                self._report.find_breach(str(error))
                self._unsound.add(event.account_id)
