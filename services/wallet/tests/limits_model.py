"""A model of limits that shares no code with the rules: it keeps every command that was counted, and scans anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

STEP: Final = timedelta(minutes=15)
"""Every zone's clocks are moved, and its days end, at a quarter of an hour."""
OPERATIONS: Final = {"withdrawal": "withdrawal", "transfer": "transfer", "hold": "payment", "increase": "payment"}


def end_of_day(at: datetime, zone: str) -> datetime:
    """Return the first quarter of an hour after *at* at which the day of the zone is over."""
    known = ZoneInfo(zone)
    started = at.astimezone(known).date()
    return _first(at, lambda instant: instant.astimezone(known).date() > started)


def end_of_month(at: datetime, zone: str) -> datetime:
    """Return the first quarter of an hour after *at* at which the month of the zone is over."""
    known = ZoneInfo(zone)
    began = at.astimezone(known)
    year, month = began.year + began.month // 12, began.month % 12 + 1
    near = datetime(year, month, 1, tzinfo=UTC) - timedelta(days=2)
    return _first(max(at, near), lambda instant: instant.astimezone(known).date() >= date(year, month, 1))


def _first(at: datetime, is_over: Any) -> datetime:
    instant = datetime.fromtimestamp(at.timestamp() // STEP.total_seconds() * STEP.total_seconds(), UTC)
    while instant <= at or not is_over(instant):
        instant += STEP
    return instant


ENDS: Final = {"day": end_of_day, "month": end_of_month}


@dataclass(slots=True)
class Counted:
    """One command that was counted; what a hold released of it is taken off *amount*."""

    at: datetime
    zone: str
    amount: int
    hold: int | None


class Refusal(NamedTuple):
    """Why a limit refuses: what its problem tells, figures in minor units or commands."""

    operation: str
    scope: str
    window: str
    measure: str
    max: int
    used: int
    remaining: int
    resets_at: datetime | None


Limit = dict[str, Any]
"""As it is sent, but with amounts in minor units."""


@dataclass(slots=True)
class ModelWallet:
    """A wallet: what is available, its zone, and its own limits."""

    owner: str
    available: int = 0
    line: int = 0
    zone: str = "UTC"
    own: list[Limit] = field(default_factory=list)


@dataclass(slots=True)
class ModelHold:
    """An open hold: what can still be captured of it, and until when."""

    wallet: int
    remaining: int
    ends_at: datetime


class LimitsModel:
    """Wallets, owners' tiers, and lists of what was counted by scope, operation and window."""

    def __init__(self) -> None:
        self.wallets: list[ModelWallet] = []
        self.holds: dict[int, ModelHold] = {}
        self.tiers: dict[str, list[Limit]] = {}
        self.tier_of: dict[str, str] = {}
        self.lists: dict[tuple[str, str, str], list[Counted]] = {}

    def set_tiers(self, tiers: dict[str, list[Limit]]) -> None:
        """Set the tiers: where none counts owners, what was counted of them is forgotten."""
        self.tiers = tiers
        if not any(limit["scope"] == "owner" for limits in tiers.values() for limit in limits):
            for key in [key for key in self.lists if key[0].startswith("owner")]:
                del self.lists[key]

    def debit(self, wallet: int, kind: str, amount: int, at: datetime, hold: int | None = None) -> Refusal | str | None:
        """Return why a limit or the balance refuses, else count it."""
        known = self.wallets[wallet]
        operations = (OPERATIONS[kind], "debit")
        refusal = self._refusal(wallet, operations, amount, at)
        if refusal is not None:
            return refusal
        if amount > known.available + known.line:
            return "insufficient_funds"
        known.available -= amount
        self._count(wallet, operations, Counted(at, known.zone, amount, hold))
        return None

    def deposit(self, wallet: int, amount: int, at: datetime) -> Refusal | None:
        """Return why a limit refuses, else count it."""
        known = self.wallets[wallet]
        refusal = self._refusal(wallet, ("deposit",), amount, at) or self.full(wallet, amount, self.posted(wallet))
        if refusal is None:
            known.available += amount
            self._count(wallet, ("deposit",), Counted(at, known.zone, amount, None))
        return refusal

    def full(self, wallet: int, amount: int, posted: int) -> Refusal | None:
        """Return that the wallet would have more than it may."""
        for limit in self._limits(wallet, "wallet", ("deposit",)):
            most = limit.get("balance")
            if most is not None and posted + amount > most:
                used = max(0, posted)
                return Refusal("deposit", "wallet", "balance", "amount", most, used, max(0, most - used), None)
        return None

    def posted(self, wallet: int) -> int:
        """Return what is posted to the wallet."""
        return self.wallets[wallet].available + sum(
            hold.remaining for hold in self.holds.values() if hold.wallet == wallet
        )

    def release(self, hold_id: int, amount: int, at: datetime) -> None:
        """Give *amount* of the hold back where it was counted in a window that runs: what was placed last first."""
        known = self.wallets[self.holds[hold_id].wallet]
        known.available += amount
        for scope in (f"wallet {self.holds[hold_id].wallet}", f"owner {known.owner}"):
            for operation in ("payment", "debit"):
                for window in ENDS:
                    left = amount
                    within, _ = self._within(self.lists.get((scope, operation, window), []), window, at, known.zone)
                    for each in reversed(within):
                        if each.hold == hold_id:
                            back = min(left, each.amount)
                            each.amount -= back
                            left -= back

    def used(self, wallet: int, scope: str, operation: str, window: str, at: datetime) -> tuple[int, int, datetime]:
        """Return how many commands, and how much, the window has that runs, and when it ends."""
        key = self._scope(wallet, scope), operation, window
        within, ends_at = self._within(self.lists.get(key, []), window, at, self.wallets[wallet].zone)
        return len(within), sum(each.amount for each in within), ends_at

    def _scope(self, wallet: int, scope: str) -> str:
        return f"wallet {wallet}" if scope == "wallet" else f"owner {self.wallets[wallet].owner}"

    def _within(self, counted: list[Counted], window: str, at: datetime, zone: str) -> tuple[list[Counted], datetime]:
        """Walk through all that was counted: the first after the end of a window begins another."""
        within: list[Counted] = []
        ends_at: datetime | None = None
        for each in counted:
            if ends_at is None or each.at >= ends_at:
                within, ends_at = [], ENDS[window](each.at, each.zone)
            within.append(each)
        if ends_at is None or at >= ends_at:
            return [], ENDS[window](at, zone)
        return within, ends_at

    def _limits(self, wallet: int, scope: str, operations: tuple[str, ...]) -> Iterator[Limit]:
        known = self.wallets[wallet]
        tier = self.tiers.get(self.tier_of.get(known.owner, "default"), self.tiers.get("default", []))
        for operation in operations:
            own = [limit for limit in known.own if limit["operation"] == operation]
            of_tier = [limit for limit in tier if limit["operation"] == operation and limit["scope"] == scope]
            yield from own if scope == "wallet" and own else of_tier

    def _refusal(self, wallet: int, operations: tuple[str, ...], amount: int, at: datetime) -> Refusal | None:
        for scope in ("wallet", "owner"):
            for limit in self._limits(wallet, scope, operations):
                once = limit.get("per_transaction")
                if once is not None and amount > once:
                    return Refusal(limit["operation"], scope, "transaction", "amount", once, 0, once, None)
                for window in ENDS:
                    count, total, ends_at = self.used(wallet, scope, limit["operation"], window, at)
                    for measure, used, more in (("amount", total, amount), ("count", count, 1)):
                        most = limit.get(f"{window}_{measure}")
                        if most is not None and used + more > most:
                            left = max(0, most - used)
                            return Refusal(limit["operation"], scope, window, measure, most, used, left, ends_at)
        return None

    def _count(self, wallet: int, operations: tuple[str, ...], counted: Counted) -> None:
        for scope in ("wallet", "owner"):
            limits = list(self._limits(wallet, scope, operations))
            for operation in operations:
                for window in ENDS:
                    key = self._scope(wallet, scope), operation, window
                    measures = {f"{window}_amount", f"{window}_count"}
                    if any(limit["operation"] == operation and measures & limit.keys() for limit in limits):
                        copy = Counted(counted.at, counted.zone, counted.amount, counted.hold)
                        self.lists.setdefault(key, []).append(copy)
                    else:
                        self.lists.pop(key, None)
