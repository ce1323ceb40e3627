"""What a dashboard shows, and how its figures are made of sums. Pure."""

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

MINUTES_SHOWN: Final = timedelta(hours=24)
"""Of longer windows the minutes of the last day are shown."""
TOP_KEPT: Final = 200
"""Wallets of a ranking that are kept, of which a request shows some."""
ACTIVE_SHOWN: Final = 10
_MINUTE_S: Final = 60


class Window(StrEnum):
    """How far back an answer looks."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    def begin(self, now: datetime) -> datetime:
        """Return from when on is counted: whole minutes of up to a day, whole UTC days of more."""
        begin = (now - _SPANS[self]).astimezone(UTC).replace(second=0, microsecond=0)
        return begin if self.is_by_minute else begin.replace(hour=0, minute=0)

    @property
    def is_by_minute(self) -> bool:
        """Whether it is counted by minutes, and not by days."""
        return _SPANS[self] <= MINUTES_SHOWN


_SPANS: Final = {
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(hours=24),
    Window.WEEK: timedelta(days=7),
    Window.MONTH: timedelta(days=30),
}


class Ranked(StrEnum):
    """Of what the first wallets have most."""

    ENTRIES = "entries"
    VOLUME = "volume"
    BALANCE = "balance"


class DashboardAsked(msgspec.Struct, frozen=True, tag="dashboard", forbid_unknown_fields=True):
    """The dashboard of a window is asked for."""

    window: Window


class TopAsked(msgspec.Struct, frozen=True, tag="top_wallets", forbid_unknown_fields=True):
    """The first wallets are asked for, of a *currency* or of all."""

    by: Ranked
    window: Window
    currency: str | None


Question: TypeAlias = DashboardAsked | TopAsked


def question_text(question: Question) -> str:
    """Return the text that stands for *question* where its answer is kept."""
    return msgspec.json.encode(question).decode()


def question_of(text: str) -> Question:
    """Return the question that *text* stands for."""
    return msgspec.json.decode(text, type=DashboardAsked | TopAsked)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer tells: when it was made, up to when it is complete, and the parked wallets it may lack.

    Not *is_complete* where there was more than is looked at.
    """

    as_of: datetime
    complete_until: datetime | None
    parked_count: int
    parked_ids: list[UUID]
    counted_from: datetime
    is_complete: bool


class MinuteCount(msgspec.Struct, frozen=True):
    """How many transactions began in the minute from *at* on."""

    at: datetime
    transactions: int


class DayVolume(msgspec.Struct, frozen=True):
    """What transactions of a type and a currency came to on a UTC day."""

    day: date
    type: str
    currency: str
    transactions: int
    entries: int
    credits_minor: int
    debits_minor: int


class CurrencyFigures(msgspec.Struct, frozen=True):
    """The wallets of a currency, what is in the open ones, and how many were *opened* in the window."""

    currency: str
    open: int
    closed: int
    opened: int
    posted_minor: int
    held_minor: int


class TopWallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet, what happened in the window, and what is in it."""

    wallet_id: UUID
    owner_id: str
    currency: str
    entries: int
    credits_minor: int
    debits_minor: int
    posted_minor: int


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant at a glance."""

    told: Told
    minutes: list[MinuteCount]
    volumes: list[DayVolume]
    currencies: list[CurrencyFigures]
    active: list[TopWallet]


class TopWallets(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's first wallets."""

    told: Told
    wallets: list[TopWallet]


def volume_minor(credits_minor: int, debits_minor: int) -> int:
    """Return the volume of transactions: what came into wallets or went out, whichever is more.

    A transfer within a currency does both and is counted once.
    """
    return max(credits_minor, debits_minor)


def average_minor(total_minor: int, wallets: int) -> int:
    """Return what a wallet has on average, rounded to the nearest minor unit; 0 without wallets."""
    return (2 * total_minor + wallets) // (2 * wallets) if wallets else 0


def newest_minute(minutes: list[MinuteCount], as_of: datetime, complete_until: datetime | None) -> MinuteCount:
    """Return the last minute that is over, and complete where that is known."""
    until = as_of if complete_until is None else min(as_of, complete_until)
    at = until.astimezone(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    return next((minute for minute in minutes if minute.at == at), MinuteCount(at, 0))


def per_second(transactions_of_minute: int) -> str:
    """Return how many of a minute's transactions that is each second, with two decimals."""
    hundredths = (200 * transactions_of_minute + _MINUTE_S) // (2 * _MINUTE_S)
    return f"{hundredths // 100}.{hundredths % 100:02d}"
