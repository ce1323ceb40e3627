"""Limits: bounds on what goes through a wallet, or all of an owner's wallets, and what was counted under them.

Amounts are decimal texts of the limit's currency where they are set, minor units where they are counted.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Final, Literal

import msgspec

from contracts.zones import UTC_ZONE
from wallet.domain.fee_rules import minor_of
from wallet.domain.windows import day_end, month_end

LimitScope = Literal["wallet", "owner"]
LimitOperation = Literal["withdrawal", "transfer", "payment", "conversion", "debit", "deposit"]
OF_WALLET: Final = "wallet"
OF_OWNER: Final = "owner"
DEBIT: Final = "debit"
"""Every operation that takes money out of a wallet, holds among them."""
DEPOSIT: Final = "deposit"
DEFAULT_TIER: Final = "default"
"""The tier of whoever was never given one, or one that the policy does not have."""
TIERS_MAX: Final = 50
LIMITS_MAX: Final = 50


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """What may go through *operation* in *currency*: at once, in a day, in a month, by amount and by count.

    *scope* `owner` counts all wallets of the owner together. *balance* is the most that a wallet may have after
    something came in: of limits on deposits to wallets alone.
    """

    scope: LimitScope
    operation: LimitOperation
    currency: str
    per_transaction: str | None = None
    day_amount: str | None = None
    day_count: int | None = None
    month_amount: str | None = None
    month_count: int | None = None
    balance: str | None = None

    @cached_property
    def once_minor(self) -> int | None:
        """The most at once, in minor units."""
        return self._minor(self.per_transaction)

    @cached_property
    def day_minor(self) -> int | None:
        """The most in a day, in minor units."""
        return self._minor(self.day_amount)

    @cached_property
    def month_minor(self) -> int | None:
        """The most in a month, in minor units."""
        return self._minor(self.month_amount)

    @cached_property
    def balance_minor(self) -> int | None:
        """The most that a wallet may have, in minor units."""
        return self._minor(self.balance)

    @cached_property
    def measures_days(self) -> bool:
        """Whether it counts what happens in a day."""
        return self.day_amount is not None or self.day_count is not None

    @cached_property
    def measures_months(self) -> bool:
        """Whether it counts what happens in a month."""
        return self.month_amount is not None or self.month_count is not None

    def _minor(self, amount: str | None) -> int | None:
        return None if amount is None else minor_of(amount, self.currency)


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limits of the owners of one tier."""

    name: str
    limits: tuple[Limit, ...] = ()


class TierLimits:
    """A tier's limits, found by what they are for: each scope, operation and currency has one at most."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._by_use: dict[tuple[str, str, str], Limit] = {
            (limit.scope, limit.operation, limit.currency): limit for limit in limits
        }
        self._found: dict[tuple[str, Operations, str], Sequence[Limit]] = {}

    def on(self, scope: LimitScope, operation: str, currency: str) -> Limit | None:
        """Return the limit on *operation*."""
        return self._by_use.get((scope, operation, currency))

    def on_each(self, scope: LimitScope, operations: "Operations", currency: str) -> Sequence[Limit]:
        """Return the limits on *operations*, in their order; found once for each that is asked for."""
        asked = scope, operations, currency
        found = self._found.get(asked)
        if found is None:
            limits = [self.on(scope, operation, currency) for operation in operations]
            found = self._found[asked] = [limit for limit in limits if limit is not None]
        return found


Operations = tuple[str, ...]
NO_LIMITS: Final = TierLimits()


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A wallet's own limits, and the zone whose days and months its windows are."""

    time_zone: str = UTC_ZONE
    limits: tuple[Limit, ...] = ()

    def own(self, operation: str) -> Limit | None:
        """Return the wallet's own limit of *operation*."""
        for limit in self.limits:
            if limit.operation == operation:
                return limit
        return None


class Window(msgspec.Struct, frozen=True, gc=False):
    """What was counted in a day or a month that *ends_at*; the first of it at *began_at*."""

    began_at: datetime
    ends_at: datetime
    count: int
    amount_minor: int

    def has(self, at: datetime) -> bool:
        """Return whether what happened at that time was counted in it."""
        return self.began_at <= at < self.ends_at


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was counted of an *operation* in *currency* since it is limited; a window that no limit measures is None."""

    operation: str
    currency: str
    since: datetime
    day: Window | None = None
    month: Window | None = None


Usages = tuple[Usage, ...]
_decode_usages = msgspec.json.Decoder(Usages).decode
_decode_terms = msgspec.json.Decoder(Terms).decode
_encode = msgspec.json.Encoder().encode


def stored_usages(usages: Usages) -> bytes | None:
    """Return *usages* as a wallet's row keeps them."""
    return _encode(usages) if usages else None


def read_usages(stored: bytes | None) -> Usages:
    """Return what `stored_usages` made."""
    return _decode_usages(stored) if stored else ()


def stored_terms(terms: Terms | None) -> bytes | None:
    """Return *terms* as a wallet's row keeps them."""
    return None if terms is None else _encode(terms)


def read_terms(stored: bytes | None) -> Terms | None:
    """Return what `stored_terms` made."""
    return None if stored is None else _decode_terms(stored)


class Excess(msgspec.Struct, frozen=True):
    """What a limit does not allow. *window* is `transaction`, `day`, `month` or `balance`, *measure* amount or count.

    *resets_at* is when its window ends, None where nothing is counted.
    """

    limit: Limit
    window: str
    measure: str
    highest: int
    used: int
    resets_at: datetime | None

    @property
    def remaining(self) -> int:
        """How much the limit still allows."""
        return max(0, self.highest - self.used)


def running(window: Window | None, at: datetime) -> Window | None:
    """Return *window* where it has not ended at that time."""
    return window if window is not None and at < window.ends_at else None


def since(usages: Usages, not_before: datetime | None) -> Usages:
    """Return what of *usages* is counted at least since *not_before*: the rest was under limits that are no more."""
    return usages if not_before is None else tuple(each for each in usages if each.since >= not_before)


def usage_of(usages: Iterable[Usage], operation: str, currency: str) -> Usage | None:
    """Return what was counted of the operation."""
    for each in usages:
        if each.operation == operation and each.currency == currency:
            return each
    return None


def measured(limit: Limit, usages: Usages, zone: str, at: datetime) -> Iterable[Excess]:
    """Yield every day's and month's measure of *limit* with what is used of it at that time."""
    usage = usage_of(usages, limit.operation, limit.currency)
    for window, counted_in, end_of, amount_minor, count in (
        ("day", usage.day if usage else None, day_end, limit.day_minor, limit.day_count),
        ("month", usage.month if usage else None, month_end, limit.month_minor, limit.month_count),
    ):
        if amount_minor is None and count is None:
            continue
        now = running(counted_in, at)
        resets_at = end_of(zone, at) if now is None else now.ends_at
        used_minor, used_count = (0, 0) if now is None else (now.amount_minor, now.count)
        if amount_minor is not None:
            yield Excess(limit, window, "amount", amount_minor, used_minor, resets_at)
        if count is not None:
            yield Excess(limit, window, "count", count, used_count, resets_at)


class Counting(msgspec.Struct, frozen=True, gc=False):
    """One thing to count: *amount_minor* more of some operations, at that time by the days of *zone*."""

    amount_minor: int
    currency: str
    zone: str
    at: datetime


def counted(usages: Usages, operations: Operations, limits: Sequence[Limit], counting: Counting) -> Usages | Excess:
    """Return *usages* with *counting* under each of *operations* that one of *limits* measures, without the others.

    Where it is more than one of them allows, return the first that it exceeds.
    """
    if not usages and not limits:
        return usages
    currency = counting.currency
    after = [each for each in usages if each.operation not in operations or each.currency != currency]
    for limit in limits:
        usage = counted_under(limit, usage_of(usages, limit.operation, currency), counting)
        if isinstance(usage, Excess):
            return usage
        if usage is not None:
            after.append(usage)
    return tuple(after)


def counted_under(limit: Limit, before: Usage | None, counting: Counting) -> Usage | Excess | None:
    """Return what is counted of the limit's operation with *counting*, None where nothing is, or what exceeds it."""
    once_minor, amount_minor = limit.once_minor, counting.amount_minor
    if once_minor is not None and amount_minor > once_minor:
        return Excess(limit, "transaction", "amount", once_minor, 0, None)
    day = month = excess = None
    if limit.measures_days:
        day = _more(None if before is None else before.day, counting, day_end)
        excess = _excess(limit, "day", limit.day_minor, limit.day_count, window=day, amount_minor=amount_minor)
    if excess is None and limit.measures_months:
        month = _more(None if before is None else before.month, counting, month_end)
        excess = _excess(limit, "month", limit.month_minor, limit.month_count, window=month, amount_minor=amount_minor)
    if excess is not None:
        return excess
    if day is None and month is None:
        return None
    since = counting.at if before is None else before.since
    return Usage(operation=limit.operation, currency=counting.currency, since=since, day=day, month=month)


def _excess(
    limit: Limit, name: str, most_minor: int | None, most_count: int | None, *, window: Window, amount_minor: int
) -> Excess | None:
    """Return that *window*, in which the amount is counted already, has more than the most of amount or count."""
    if most_minor is not None and window.amount_minor > most_minor:
        return Excess(limit, name, "amount", most_minor, window.amount_minor - amount_minor, window.ends_at)
    if most_count is not None and window.count > most_count:
        return Excess(limit, name, "count", most_count, window.count - 1, window.ends_at)
    return None


def given_back(usages: Usages, operations: Operations, currency: str, placed: "Placings", minor: int) -> Usages:
    """Return *usages* without what of *minor*, the last that was *placed*, was counted in their windows."""
    return tuple(
        msgspec.structs.replace(each, day=_less(each.day, placed, minor), month=_less(each.month, placed, minor))
        if each.operation in operations and each.currency == currency
        else each
        for each in usages
    )


Placings = Sequence[tuple[datetime, int]]
"""When a hold was placed and increased, and by how much."""


def counted_within(window: Window, placed: Placings) -> int:
    """Return how much of what was *placed* the window counted."""
    return sum(amount_minor for at, amount_minor in placed if window.has(at))


def _more(window: Window | None, counting: Counting, end_of: Callable[[str, datetime], datetime]) -> Window:
    at = counting.at
    if window is None or at >= window.ends_at:
        return Window(at, end_of(counting.zone, at), 1, counting.amount_minor)
    amount_minor = window.amount_minor + counting.amount_minor
    began_at = min(window.began_at, at)
    return Window(began_at, window.ends_at, window.count + 1, amount_minor)


def _less(window: Window | None, placed: Placings, minor: int) -> Window | None:
    if window is None:
        return None
    back_minor = min(minor, counted_within(window, placed), window.amount_minor)
    return msgspec.structs.replace(window, amount_minor=window.amount_minor - back_minor)


@lru_cache(maxsize=10_000)
def contradictions(limits: tuple[Limit, ...]) -> Sequence[tuple[int, str]]:
    """Return the index of each limit that cannot be one, and why, as a sentence."""
    found: list[tuple[int, str]] = []
    seen: set[tuple[str, str, str]] = set()
    for index, limit in enumerate(limits):
        name = limit.scope, limit.operation, limit.currency
        if name in seen:
            found.append((index, "Another limit is of the same scope, operation and currency."))
        seen.add(name)
        if limit.balance is not None and (limit.operation, limit.scope) != (DEPOSIT, OF_WALLET):
            found.append((index, "A balance is bounded by a limit on deposits to a wallet."))
        once = limit.per_transaction is not None or limit.balance is not None
        if not (once or limit.measures_days or limit.measures_months):
            found.append((index, "It bounds nothing."))
    return found
