"""Where a wallet stood, and what happened between two instants: the difference of where it stood. Pure."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A wallet, or several of a currency, at an instant: balance and totals since it was opened, in minor units.

    *version* and *occurred_at* are of the last entry up to then; of several wallets they say nothing.
    """

    version: int = 0
    occurred_at: datetime | None = None
    posted_minor: int = 0
    held_minor: int = 0
    entries: int = 0
    credits_minor: int = 0
    debits_minor: int = 0
    fees_minor: int = 0

    def __add__(self, other: "Standing") -> "Standing":
        """Return both together."""
        return Standing(
            posted_minor=self.posted_minor + other.posted_minor,
            held_minor=self.held_minor + other.held_minor,
            entries=self.entries + other.entries,
            credits_minor=self.credits_minor + other.credits_minor,
            debits_minor=self.debits_minor + other.debits_minor,
            fees_minor=self.fees_minor + other.fees_minor,
        )


NOTHING: Final = Standing()
"""Before the first entry."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What happened between two instants: opening + credits - debits = closing; fees are within both."""

    opening_minor: int
    closing_minor: int
    credits_minor: int
    debits_minor: int
    fees_minor: int
    entries: int


def movement(before: Standing, after: Standing) -> Movement:
    """Return what happened between where it stood *before* and *after*."""
    return Movement(
        opening_minor=before.posted_minor,
        closing_minor=after.posted_minor,
        credits_minor=after.credits_minor - before.credits_minor,
        debits_minor=after.debits_minor - before.debits_minor,
        fees_minor=after.fees_minor - before.fees_minor,
        entries=after.entries - before.entries,
    )


def seek(version: int, first: datetime, last: datetime, newest: int) -> Generator[datetime, Standing | None, datetime]:
    """Find the instant at which the entries from *first* to *last* come beyond *version*; *last* where they do not.

    Yields an instant, and is sent what stood then. Versions ascend with time, many of them within one instant. The way
    is guessed as if they did so evenly, in turn with halving, which no unevenness makes longer than the range has bits.
    """
    until, low, high, before, halves = last, first, last, 0, False
    while low <= high:
        part, whole = (1, 2) if halves else (version - before, max(newest - before, 1))
        at, halves = low + (high - low) * min(max(part, 0), whole) // whole, not halves
        standing = yield at
        if standing is None or standing.occurred_at is None or standing.version <= version:
            before = before if standing is None else standing.version
            low = at + _TICK
        else:
            newest, until = standing.version, standing.occurred_at
            high = min(at, until) - _TICK
    return until
