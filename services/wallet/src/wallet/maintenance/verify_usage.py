"""Verifying what was counted under limits: every window that still runs is counted again from its entries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from contracts.events import (
    FUNDS_DEPOSITED,
    FUNDS_SENT,
    FUNDS_WITHDRAWN,
    HOLD_INCREASED,
    HOLD_PLACED,
    HOLD_RELEASED,
)
from contracts.money import Money, parse_signed_minor
from wallet.domain.limits import Usage, Window
from wallet.maintenance.verify import Report

COUNTED: Final = tuple(
    event.number for event in (FUNDS_DEPOSITED, FUNDS_WITHDRAWN, FUNDS_SENT, HOLD_PLACED, HOLD_INCREASED, HOLD_RELEASED)
)
"""The numbers of the types that are counted, or give back what was."""
_DEBIT: Final = "debit"
_PAYMENT: Final = "payment"


class _Hold(msgspec.Struct):
    id: str
    released: Money


class _Body(msgspec.Struct):
    """What of an event's body is counted."""

    amount: Money
    transaction_type: str = _PAYMENT
    forced: bool = False
    hold: _Hold | None = None


_decode: Final = msgspec.json.Decoder(_Body).decode


class CountedRow(NamedTuple):
    """A journal row of a type that is counted."""

    account_id: UUID
    type: int
    at: datetime
    payload: bytes


@dataclass(slots=True)
class Tally:
    """A window of *place* counted again.

    Of several things at the very instant that it began some may have been before the limit: then there is a least and a
    most.
    """

    place: str
    operation: str
    window: Window
    least: list[int] = field(default_factory=lambda: [0, 0])
    most: list[int] = field(default_factory=lambda: [0, 0])
    firsts: int = 0
    """How many things happened at the instant that it began."""

    def add(self, at: datetime, count: int, amount_minor: int) -> None:
        """Count what happened at that time."""
        if not self.window.has(at):
            return
        self.firsts += at == self.window.began_at
        for figures in (self.most,) if at == self.window.began_at else (self.most, self.least):
            figures[0] += count
            figures[1] += amount_minor

    def give_back(self, placed: Iterable[tuple[datetime, int]], minor: int) -> None:
        """Take back what of *minor*, the last that was *placed*, was counted here."""
        within = [(at, amount_minor) for at, amount_minor in placed if self.window.has(at)]
        self.most[1] -= min(minor, sum(amount for _, amount in within))
        self.least[1] -= min(minor, sum(amount for at, amount in within if at > self.window.began_at))

    def compare(self, report: Report) -> None:
        """Compare with what the row says."""
        actual = [self.window.count, self.window.amount_minor]
        least = self.least if self.firsts > 1 else self.most
        if not all(low <= each <= high for low, each, high in zip(least, actual, self.most, strict=True)):
            told = f"{self.operation}s until {self.window.ends_at}: its row counts {actual}, its entries {self.most}"
            report.find("I16", self.place, told)


def tallies(place: str, usages: Iterable[Usage], *, now: datetime, since: datetime | None) -> list[Tally]:
    """Return a tally of each window of *usages* that runs; of those that began before *since*, entries are away."""
    windows = [(usage.operation, window) for usage in usages for window in (usage.day, usage.month)]
    return [
        Tally(place, operation, window)
        for operation, window in windows
        if window is not None and window.has(now) and (since is None or window.began_at >= since)
    ]


class UsageFold:
    """Counts the journal's rows again; *wanted* are the tallies that each wallet's rows count in."""

    def __init__(self, wanted: Mapping[UUID, list[Tally]]) -> None:
        self._wanted = wanted
        self._placed: dict[str, list[tuple[datetime, int]]] = {}

    def add(self, row: CountedRow) -> None:
        """Count the next row of a shard."""
        body = _decode(row.payload)
        if body.forced:
            return
        if row.type == HOLD_RELEASED.number:
            assert body.hold is not None
            placed = self._placed.pop(body.hold.id, ())
            for tally in self._tallies(row.account_id, _PAYMENT):
                tally.give_back(placed, parse_signed_minor(body.hold.released))
            return
        amount_minor = abs(parse_signed_minor(body.amount))
        if body.hold is not None and amount_minor == 0:
            return  # its end was moved alone
        if body.hold is not None:
            self._placed.setdefault(body.hold.id, []).append((row.at, amount_minor))
        for tally in self._tallies(row.account_id, body.transaction_type):
            tally.add(row.at, 1, amount_minor)

    def _tallies(self, account_id: UUID, operation: str) -> Iterable[Tally]:
        operations = (operation,) if operation == "deposit" else (operation, _DEBIT)
        return (tally for tally in self._wanted[account_id] if tally.operation in operations)
