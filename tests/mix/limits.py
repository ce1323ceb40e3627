"""What limits allow of a wallet and of an owner, and what was counted under them, in days and months of a zone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.mix.amounts import Refused, money, units
from tests.mix.things import Hold, Wallet

OPERATIONS: Final = ("withdrawal", "transfer", "payment", "conversion", "debit", "deposit")
WINDOWS: Final = ("day", "month")
ZONES: Final = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    *(f"Etc/GMT{hours:+}" for hours in range(-14, 13) if hours),
)
"""At every full hour some day ends."""
DAYS_END_EVERY: Final = timedelta(minutes=15)
"""Days of all zones end at such a quarter of an hour."""
Limit = Mapping[str, Any]
Subject = tuple[str, str]
"""A wallet or an owner: the scope and whose."""


@dataclass
class Window:
    """What was counted in a day or a month, from the first command that it counted until it ends."""

    began_at: datetime
    ends_at: datetime
    count: int = 0
    amount: int = 0


@dataclass
class Meter:
    """What was counted of an operation since it is limited."""

    since: datetime
    windows: dict[str, Window] = field(default_factory=dict)


@dataclass(frozen=True)
class Use:
    """One measure of a limit, and what is used of it."""

    scope: str
    limit: Limit
    window: str
    measure: str
    max: int
    used: int
    resets_at: datetime | None
    is_own: bool

    @property
    def left(self) -> int:
        """What is allowed still."""
        return max(0, self.max - self.used)

    def told(self) -> dict[str, Any]:
        """Return it as an answer tells it."""
        figures: dict[str, Any] = {"max": self.max, "used": self.used, "remaining": self.left}
        if self.measure == "amount":
            figures = {name: money(value, self.limit["currency"]) for name, value in figures.items()}
        names = {"scope": self.scope, "operation": self.limit["operation"], "window": self.window}
        return {**names, "measure": self.measure, **figures}


@dataclass
class Limits:
    """The limits of one tenant: tiers by name, what tier each owner is of, and what was counted."""

    tiers: dict[str, Sequence[Limit]] = field(default_factory=dict)
    tier_of: dict[str, str] = field(default_factory=dict)
    _meters: dict[tuple[Subject, str, str], Meter] = field(default_factory=dict)

    def copy(self) -> "Limits":
        """Return limits of their own that are the same."""
        meters = {
            key: Meter(meter.since, {name: replace(window) for name, window in meter.windows.items()})
            for key, meter in self._meters.items()
        }
        return Limits(dict(self.tiers), dict(self.tier_of), meters)

    @property
    def _counts_owners(self) -> bool:
        return any(limit["scope"] == "owner" for limits in self.tiers.values() for limit in limits)

    def tier(self, owner: str) -> str:
        """Return the tier by which an owner is treated: the default one where its own is no more."""
        tier = self.tier_of.get(owner, "default")
        return tier if tier in self.tiers else "default"

    def change_tiers(self, document: Sequence[Mapping[str, Any]], at: datetime) -> None:
        """Set the tiers: what was counted of owners before none of them counted owners is void."""
        began_counting = not self._counts_owners
        self.tiers = {tier["name"]: tier["limits"] for tier in document}
        if began_counting:
            void = [key for key, meter in self._meters.items() if key[0][0] == "owner" and meter.since < at]
            for key in void:
                self._meters.pop(key)

    def allow(self, wallet_id: str, wallet: Wallet, operations: Sequence[str], amount: int, at: datetime) -> None:
        """Refuse what a limit on one of *operations* does not allow."""
        for use in self._uses(wallet_id, wallet, operations, at):
            more = 1 if use.measure == "count" else amount
            if use.window != "balance" and more > use.max - use.used:
                raise _exceeded(use)

    def allow_balance(self, wallet_id: str, wallet: Wallet, amount: int, at: datetime) -> None:
        """Refuse what would leave more than a wallet may have."""
        for use in self._uses(wallet_id, wallet, ("deposit",), at):
            if use.window == "balance" and wallet.posted + amount > use.max:
                raise _exceeded(use)

    def count(self, wallet_id: str, wallet: Wallet, operations: Sequence[str], amount: int, at: datetime) -> None:
        """Count a command that is carried out under *operations* where they are limited, and forget the others."""
        for subject in self._subjects(wallet_id, wallet):
            limits = [limit for limit, _ in self._limits(subject[0], wallet, operations)]
            for operation in operations:
                windows = {name for limit in limits if limit["operation"] == operation for name in _measured(limit)}
                key = subject, operation, wallet.currency
                if not windows:
                    self._meters.pop(key, None)
                    continue
                meter = self._meters.setdefault(key, Meter(at))
                meter.windows = {name: _running(meter, name, at, wallet.zone) for name in windows}
                for window in meter.windows.values():
                    window.began_at = min(window.began_at, at)
                    window.count, window.amount = window.count + 1, window.amount + amount

    def give_back(self, hold: Hold, wallet: Wallet, released: int) -> None:
        """Give back what windows counted of what a hold releases, the last of it that was placed."""
        for subject in self._subjects(hold.wallet, wallet):
            for operation in ("payment", "debit"):
                meter = self._meters.get((subject, operation, wallet.currency))
                for window in () if meter is None else meter.windows.values():
                    within = sum(part for at, part in hold.placings if window.began_at <= at < window.ends_at)
                    window.amount -= min(released, within, window.amount)

    def told(self, wallet_id: str, wallet: Wallet, at: datetime) -> list[dict[str, Any]]:
        """Return every measure of every limit on a wallet as they are shown."""
        return [
            {**use.told(), "resets_at": use.resets_at, "is_own": use.is_own}
            for use in self._uses(wallet_id, wallet, OPERATIONS, at)
        ]

    # -- parts

    def _subjects(self, wallet_id: str, wallet: Wallet) -> list[Subject]:
        return [("wallet", wallet_id), *([("owner", wallet.owner)] if self._counts_owners else [])]

    def _limits(self, scope: str, wallet: Wallet, operations: Sequence[str]) -> Iterator[tuple[Limit, bool]]:
        """Yield the limits that apply, each with whether it is the wallet's own."""
        of_tier = self.tiers.get(self.tier(wallet.owner), ())
        for operation in operations:
            own = [limit for limit in wallet.limits if limit["operation"] == operation and scope == "wallet"]
            wanted = scope, operation, wallet.currency
            for limit in own or of_tier:
                if (limit["scope"], limit["operation"], limit["currency"]) == wanted:
                    yield limit, bool(own)

    def _uses(self, wallet_id: str, wallet: Wallet, operations: Sequence[str], at: datetime) -> Iterator[Use]:
        for subject in self._subjects(wallet_id, wallet):
            for limit, is_own in self._limits(subject[0], wallet, operations):
                yield from self._measures(subject, limit, wallet, at, is_own=is_own)

    def _measures(self, subject: Subject, limit: Limit, wallet: Wallet, at: datetime, *, is_own: bool) -> Iterator[Use]:
        scope, currency = subject[0], wallet.currency
        if "per_transaction" in limit:
            most = units(limit["per_transaction"], currency)
            yield Use(scope, limit, "transaction", "amount", most, 0, None, is_own)
        meter = self._meters.get((subject, limit["operation"], currency), Meter(at))
        for name in WINDOWS:
            window = _running(meter, name, at, wallet.zone)
            if f"{name}_amount" in limit:
                most = units(limit[f"{name}_amount"], currency)
                yield Use(scope, limit, name, "amount", most, window.amount, window.ends_at, is_own)
            if f"{name}_count" in limit:
                yield Use(scope, limit, name, "count", limit[f"{name}_count"], window.count, window.ends_at, is_own)
        if "balance" in limit:
            most = units(limit["balance"], currency)
            yield Use(scope, limit, "balance", "amount", most, max(0, wallet.posted), None, is_own)


def _measured(limit: Limit) -> list[str]:
    return [name for name in WINDOWS if f"{name}_amount" in limit or f"{name}_count" in limit]


def _running(meter: Meter, name: str, at: datetime, zone: str) -> Window:
    """Return the window that runs, a new one where none does."""
    window = meter.windows.get(name)
    return window if window is not None and at < window.ends_at else Window(at, _end(name, at, zone))


def _end(name: str, at: datetime, zone: str) -> datetime:
    """Return the midnight at which the day or the month ends."""
    today = at.astimezone(ZoneInfo(zone)).date()
    after = today + timedelta(days=1) if name == "day" else _next_month(today)
    return datetime.combine(after, time(), ZoneInfo(zone)).astimezone(UTC)


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def _exceeded(use: Use) -> Refused:
    facts = use.told() if use.resets_at is None else {**use.told(), "resets_at": use.resets_at}
    return Refused("limit_exceeded", **facts)
