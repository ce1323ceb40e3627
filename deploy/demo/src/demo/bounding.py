"""Limits: what each bounds, and what was counted under it; every window of the day still runs when the day ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from demo.money import from_text, to_text
from demo.states import HoldState, Refused, WalletState

Limit = Mapping[str, Any]
DEFAULT: Final = "default"
"""The tier of whoever was given none."""
WINDOWS: Final = ("day", "month")


class _Place(NamedTuple):
    """Where something is counted: of whom, a wallet or an owner, what, and in which window."""

    scope: str
    name: str
    operation: str
    currency: str
    window: str


@dataclass(frozen=True, slots=True)
class _Count:
    """How often and how much, since *began*, a turn of the model."""

    began: int
    times: int = 0
    minor: int = 0


class Bounds:
    """The tiers' limits, the wallets' own, and what is used of all."""

    def __init__(self) -> None:
        self.tiers: dict[str, Sequence[Limit]] = {}
        self.tier_by_owner: dict[str, str] = {}
        self.own: dict[str, Sequence[Limit]] = {}
        self._used: dict[_Place, _Count] = {}

    def copy(self) -> "Bounds":
        """Return bounds of their own that are the same."""
        other = Bounds()
        other.tiers, other.tier_by_owner, other.own = dict(self.tiers), dict(self.tier_by_owner), dict(self.own)
        other._used = dict(self._used)
        return other

    def tier_of(self, owner: str) -> str:
        """Return the owner's tier."""
        return self.tier_by_owner.get(owner, DEFAULT)

    def counts(self, owner: str) -> bool:
        """Tell whether something is counted of all the owner's wallets together."""
        return any(limit["scope"] == "owner" for limit in self._of_tier(owner))

    def must_allow(self, wallet: WalletState, operations: Sequence[str], minor: int) -> None:
        """Refuse *minor* more than a limit on the operations allows: the wallet's go before the owner's."""
        for limit in (*self._of(wallet, "wallet", operations), *self._of(wallet, "owner", operations)):
            once = limit.get("per_transaction")
            if once is not None and minor > from_text(once, wallet.currency):
                raise _exceeded(limit, "transaction", "amount", from_text(once, wallet.currency), 0)
            for window, measure, highest, used in self._measures(limit, wallet):
                if used + (1 if measure == "count" else minor) > highest:
                    raise _exceeded(limit, window, measure, highest, used)

    def count(self, wallet: WalletState, operations: Sequence[str], minor: int, turn: int) -> None:
        """Count what happened in *turn* wherever a limit measures it; what none measures any more is forgotten."""
        for scope in ("wallet", "owner"):
            limits = {limit["operation"]: limit for limit in self._of(wallet, scope, operations)}
            for operation in operations:
                for window in WINDOWS:
                    place = _place(scope, wallet, operation, window)
                    if not any(f"{window}_{what}" in limits.get(operation, {}) for what in ("amount", "count")):
                        self._used.pop(place, None)
                        continue
                    before = self._used.get(place, _Count(turn))
                    self._used[place] = _Count(before.began, before.times + 1, before.minor + minor)

    def give_back(self, wallet: WalletState, hold: HoldState, minor: int) -> None:
        """Count *minor* of what *hold* held no longer, where it was counted."""
        for scope in ("wallet", "owner"):
            for operation in ("payment", "debit"):
                for window in WINDOWS:
                    place = _place(scope, wallet, operation, window)
                    if place in self._used:
                        before = self._used[place]
                        counted = sum(part for turn, part in hold.placings if turn >= before.began)
                        less = min(minor, counted, before.minor)
                        self._used[place] = _Count(before.began, before.times, before.minor - less)

    def used(self, wallet: WalletState) -> list[tuple[Any, ...]]:
        """Return what the platform must say is used: scope, operation, window, measure, how much it may be, and is."""
        operations = ("withdrawal", "transfer", "payment", "conversion", "debit", "deposit")
        return [
            (scope, limit["operation"], window, measure, highest, used)
            for scope in ("wallet", "owner")
            for limit in self._of(wallet, scope, operations)
            for window, measure, highest, used in self._measures(limit, wallet)
        ]

    def _of_tier(self, owner: str) -> Sequence[Limit]:
        return self.tiers.get(self.tier_of(owner), ())

    def _of(self, wallet: WalletState, scope: str, operations: Sequence[str]) -> Iterator[Limit]:
        """Give the limit on each of the operations, a wallet's own in the place of its tier's."""
        own = {limit["operation"]: limit for limit in self.own.get(wallet.name, ())} if scope == "wallet" else {}
        of_tier = {
            limit["operation"]: limit
            for limit in self._of_tier(wallet.owner)
            if (limit["scope"], limit["currency"]) == (scope, wallet.currency)
        }
        for operation in operations:
            if operation in own or operation in of_tier:
                yield own.get(operation) or of_tier[operation]

    def _measures(self, limit: Limit, wallet: WalletState) -> Iterator[tuple[str, str, int, int]]:
        for window in WINDOWS:
            count = self._used.get(_place(limit["scope"], wallet, limit["operation"], window), _Count(0))
            if f"{window}_amount" in limit:
                yield window, "amount", from_text(limit[f"{window}_amount"], wallet.currency), count.minor
            if f"{window}_count" in limit:
                yield window, "count", limit[f"{window}_count"], count.times


def _place(scope: str, wallet: WalletState, operation: str, window: str) -> _Place:
    return _Place(scope, wallet.name if scope == "wallet" else wallet.owner, operation, wallet.currency, window)


def _exceeded(limit: Limit, window: str, measure: str, highest: int, used: int) -> Refused:
    currency = limit["currency"]
    figures = {"max": highest, "used": used, "remaining": max(0, highest - used)}
    told: Mapping[str, Any] = figures
    if measure == "amount":
        told = {name: {"amount": to_text(minor, currency), "currency": currency} for name, minor in figures.items()}
    named = {"operation": limit["operation"], "scope": limit["scope"], "window": window, "measure": measure}
    return Refused("limit_exceeded", **named, **told)
