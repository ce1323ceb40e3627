"""Limits: every command that was counted is kept, and scanned anew whenever a limit is asked."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.wallet.tests.money_model.books import EPOCH, Books
from services.wallet.tests.money_model.things import Counted, Limit, Refusal, Sum

STEP: Final = timedelta(minutes=15)
"""Every zone's clocks are moved, and its days end, at a quarter of an hour."""
AMOUNTS: Final = ("per_transaction", "day_amount", "month_amount", "balance")
"""The measures of a limit that are amounts of money."""
DEBITS: Final = ("withdrawal", "transfer", "payment", "conversion")
WINDOWS: Final = ("day", "month")


def end_of(window: str, at: datetime, zone: str) -> datetime:
    """Return when the day or the month of *zone* ends that *at* is in."""
    return _end_of(window, EPOCH + (at - EPOCH) // STEP * STEP, zone)


@lru_cache(maxsize=100_000)
def _end_of(window: str, quarter: datetime, zone: str) -> datetime:
    known = ZoneInfo(zone)
    began = quarter.astimezone(known)
    if window == "day":
        return _first(quarter, lambda instant: instant.astimezone(known).date() > began.date())
    year, month = began.year + began.month // 12, began.month % 12 + 1
    near = datetime(year, month, 1, tzinfo=UTC) - timedelta(days=2)
    return _first(max(quarter, near), lambda instant: instant.astimezone(known).date() >= date(year, month, 1))


def _first(quarter: datetime, is_over: Callable[[datetime], bool]) -> datetime:
    """Return the first quarter of an hour after *quarter* at which the window is over."""
    quarter += STEP
    while not is_over(quarter):
        quarter += STEP
    return quarter


class Limits(Books):
    """What limits refuse, what is counted under them, and what is given back."""

    def refuse_debit(self, wallet: str, operation: str, amount: int) -> None:
        """Refuse what a limit on *operation*, or on debits, does not allow."""
        self._refuse(wallet, (operation, "debit"), amount)

    def count_debit(self, wallet: str, operation: str, amount: int, hold: str | None = None) -> None:
        """Count a debit."""
        self._count(wallet, (operation, "debit"), amount, hold)

    def refuse_deposit(self, wallet: str, amount: int) -> None:
        """Refuse what a limit on deposits does not allow."""
        self._refuse(wallet, ("deposit",), amount)
        self.refuse_balance(wallet, amount)

    def count_deposit(self, wallet: str, amount: int) -> None:
        """Count a deposit."""
        self._count(wallet, ("deposit",), amount, None)

    def refuse_balance(self, wallet: str, amount: int) -> None:
        """Refuse what would make more of the wallet than it may have."""
        known = self.wallets[wallet]
        for limit in self.limits_on(wallet, "wallet", ("deposit",)):
            most = limit.get("balance")
            if most is not None and known.posted + amount > most:
                raise self._exceeded(wallet, limit, "balance", "amount", max(0, known.posted), None)

    def give_back(self, hold: str, amount: int) -> None:
        """Give *amount* of the hold back where it was counted in a window that runs: what was placed last first."""
        wallet = self.holds[hold].wallet
        for scope in ("wallet", "owner"):
            for operation in ("payment", "debit"):
                for window in WINDOWS:
                    key = self._list_of(wallet, scope), operation, window
                    counted, left = list(self.counted.get(key, ())), amount
                    running, _ = self._running(key, wallet)
                    for place in reversed(range(len(counted) - len(running), len(counted))):
                        if counted[place].hold == hold:
                            back = min(left, counted[place].amount)
                            counted[place] = replace(counted[place], amount=counted[place].amount - back)
                            left -= back
                    if counted:
                        self.counted[key] = tuple(counted)

    def used(self, wallet: str, limit: Limit, window: str) -> tuple[int, int, datetime]:
        """Return how many commands, and how much, *limit* has counted in the window that runs, and when it ends."""
        running, ends_at = self._running((self._list_of(wallet, limit["scope"]), limit["operation"], window), wallet)
        return len(running), sum(each.amount for each in running), ends_at

    def limits_on(self, wallet: str, scope: str, operations: tuple[str, ...]) -> Iterator[Limit]:
        """Give the limits in force, those of the operation first: a wallet's own replace those of its tier."""
        known, tiers = self.wallets[wallet], self.policy.tiers
        tier = tiers.get(self.tier_of.get(known.owner, "default"), tiers.get("default", ()))
        of_tier = [each for each in tier if (each["scope"], each["currency"]) == (scope, known.currency)]
        for operation in operations:
            own = [each for each in known.own if each["operation"] == operation]
            yield from (
                own if scope == "wallet" and own else [each for each in of_tier if each["operation"] == operation]
            )

    def forget_owners(self) -> None:
        """Forget what was counted of owners, where no limit counts them."""
        if not any(limit["scope"] == "owner" for limits in self.policy.tiers.values() for limit in limits):
            self.counted = {key: value for key, value in self.counted.items() if not key[0].startswith("owner")}

    def _list_of(self, wallet: str, scope: str) -> str:
        known = self.wallets[wallet]
        return f"wallet {wallet}" if scope == "wallet" else f"owner {known.owner} {known.currency}"

    def _running(self, key: tuple[str, str, str], wallet: str) -> tuple[list[Counted], datetime]:
        """Walk through all that was counted: the first after the end of a window begins another."""
        window, within = key[2], list[Counted]()
        ends_at: datetime | None = None
        for each in self.counted.get(key, ()):
            if ends_at is None or each.at >= ends_at:
                within, ends_at = [], end_of(window, each.at, each.zone)
            within.append(each)
        if ends_at is None or self.now >= ends_at:
            return [], end_of(window, self.now, self.wallets[wallet].zone)
        return within, ends_at

    def _refuse(self, wallet: str, operations: tuple[str, ...], amount: int) -> None:
        for scope in ("wallet", "owner"):
            for limit in self.limits_on(wallet, scope, operations):
                once = limit.get("per_transaction")
                if once is not None and amount > once:
                    raise self._exceeded(wallet, limit, "transaction", "amount", 0, None)
                for window in WINDOWS:
                    count, total, ends_at = self.used(wallet, limit, window)
                    for measure, used, more in (("amount", total, amount), ("count", count, 1)):
                        most = limit.get(f"{window}_{measure}")
                        if most is not None and used + more > most:
                            raise self._exceeded(wallet, limit, window, measure, used, ends_at)

    def _exceeded(  # noqa: PLR0917 - a measure is six things
        self, wallet: str, limit: Limit, window: str, measure: str, used: int, resets_at: datetime | None
    ) -> Refusal:
        most = limit["per_transaction" if window == "transaction" else window_measure(window, measure)]
        figures: dict[str, Any] = {"max": most, "used": used, "remaining": max(0, most - used)}
        if measure == "amount":
            figures = {name: Sum(value, limit["currency"]) for name, value in figures.items()}
        if resets_at is not None:
            figures["resets_at"] = resets_at
        told = {"operation": limit["operation"], "scope": limit["scope"], "window": window, "measure": measure}
        return Refusal("limit_exceeded", wallet, **told, **figures)

    def _count(self, wallet: str, operations: tuple[str, ...], amount: int, hold: str | None) -> None:
        counted = Counted(self.now, self.wallets[wallet].zone, amount, hold)
        for scope in ("wallet", "owner"):
            limits = list(self.limits_on(wallet, scope, operations))
            for operation in operations:
                for window in WINDOWS:
                    key = self._list_of(wallet, scope), operation, window
                    measures = {f"{window}_amount", f"{window}_count"}
                    if any(limit["operation"] == operation and measures & limit.keys() for limit in limits):
                        self.counted[key] = (*self.counted.get(key, ()), counted)
                    else:
                        self.counted.pop(key, None)


def window_measure(window: str, measure: str) -> str:
    """Return the name of a limit's member."""
    return window if window == "balance" else f"{window}_{measure}"
