"""Transactions that are taken back: their entries, and how much of each one goes back at a time."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

EXTERNAL: Final = "external:"
EXCHANGE: Final = "fx:"
FEES: Final = "fees:"
ROUNDING: Final = "rounding:"
"""What the names of system accounts begin with, each followed by a currency."""


class OriginalEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry of the original: of a wallet, or of the system account *account* beside a wallet.

    *is_fee*: a wallet was charged a fee by it, or `fees:<currency>` got one. *fee_rule* of *policy_version* charged it.
    """

    wallet_id: UUID
    account: str | None
    currency: str
    amount_minor: int
    is_fee: bool = False
    fee_rule: str | None = None
    policy_version: int | None = None

    @property
    def is_payees(self) -> bool:
        """Whether somebody was paid by it: a wallet, or somebody outside."""
        return self.amount_minor > 0 and (self.is_wallets or self.is_outside)

    @property
    def is_wallets(self) -> bool:
        """Whether it is of a wallet, and not for a fee."""
        return self.account is None and not self.is_fee

    @property
    def is_outside(self) -> bool:
        """Whether it is of whoever is outside the platform."""
        return self.account is not None and self.account.startswith(EXTERNAL)

    @property
    def closes(self) -> bool:
        """Whether it makes its currency's entries sum to zero: the rounding account's."""
        return self.account is not None and self.account.startswith(ROUNDING)


class Original(msgspec.Struct, frozen=True, gc=False):
    """The transaction *type* that is to be taken back, with its *entries* in their order.

    The first wallet among them is its home: the one in whose shard its id stands.
    """

    type: str
    entries: tuple[OriginalEntry, ...]

    @property
    def home_id(self) -> UUID:
        """The home wallet."""
        return self.entries[0].wallet_id

    @property
    def payees(self) -> Sequence[int]:
        """The places of the entries by which somebody was paid; never empty, and all of one currency."""
        return [index for index, entry in enumerate(self.entries) if entry.is_payees]

    @property
    def currency(self) -> str:
        """What the payees were paid in, and is given back in."""
        return self.entries[self.payees[0]].currency

    @property
    def refundable_minor(self) -> int:
        """How much the payees got, and can be taken back in all."""
        return sum(self.entries[index].amount_minor for index in self.payees)


def closed(entries: Sequence[OriginalEntry]) -> tuple[OriginalEntry, ...]:
    """Return *entries* with a rounding account's entry of nothing behind them for each exchanged currency without one.

    By it the parts of what is taken back sum to zero, whatever they are rounded to.
    """
    rounded = {entry.currency for entry in entries if entry.closes}
    missing = {
        entry.currency: OriginalEntry(entry.wallet_id, f"{ROUNDING}{entry.currency}", entry.currency, 0)
        for entry in entries
        if entry.account is not None and entry.account.startswith(EXCHANGE) and entry.currency not in rounded
    }
    return (*entries, *missing.values())


def rests_of(original: Original, returned_minor: Sequence[int]) -> list[int]:
    """Return what is left of each entry, signed as it is; *returned_minor* went back so far, missing ones nothing."""
    before = (*returned_minor, *[0] * (len(original.entries) - len(returned_minor)))
    return [entry.amount_minor + back for entry, back in zip(original.entries, before, strict=True)]


def shared_out(amount_minor: int, rests: Mapping[int, int]) -> dict[int, int]:
    """Return each place's part of *amount_minor* by its rest, which is positive or nothing, rounded down.

    The units left over go one each to the first. *amount_minor* is at most the sum of the rests, and above zero.
    """
    all_minor = sum(rests.values())
    parts = {index: rest * amount_minor // all_minor for index, rest in rests.items()}
    over_minor = amount_minor - sum(parts.values())
    for index in [index for index, rest in rests.items() if parts[index] < rest][:over_minor]:
        parts[index] += 1
    return parts


def taken_back(
    original: Original, returned_minor: Sequence[int], payees_minor: Mapping[int, int], *, with_fees: bool
) -> list[int]:
    """Return what is posted of each entry, the other way round, when *payees_minor* is taken from the payees' entries.

    The others go back in proportion to their rests, towards nothing; the rounding account closes each currency, and
    once the payees have no rest, nobody has. Fees stay where they are unless *with_fees*. The sums are zero for each
    currency.
    """
    rests = rests_of(original, returned_minor)
    amount_minor = sum(payees_minor.values())
    all_minor = sum(rests[index] for index in original.payees)
    back = [0] * len(rests)
    for index, entry in enumerate(original.entries):
        if entry.is_payees:
            back[index] = -payees_minor.get(index, 0)
        elif with_fees if entry.is_fee else not entry.closes:
            part = abs(rests[index]) * amount_minor // all_minor
            back[index] = -part if rests[index] > 0 else part
    _close_fees(original, rests, back)
    for index, entry in enumerate(original.entries):
        if entry.closes:
            back[index] = -_sum_of(original, back, entry.currency)
    currencies = {entry.currency for entry in original.entries}
    assert not any(_sum_of(original, back, currency) for currency in currencies), "each currency is closed"
    return back


def _close_fees(original: Original, rests: Sequence[int], back: list[int]) -> None:
    """Have the fees' accounts give what wallets get of fees, whatever that is rounded to."""
    for places in _fees_of(original):
        returned_minor = sum(back[index] for index in places if original.entries[index].account is None)
        accounts = {index: rests[index] for index in places if original.entries[index].account is not None}
        parts = shared_out(returned_minor, accounts) if returned_minor else dict.fromkeys(accounts, 0)
        for index, part in parts.items():
            back[index] = -part


def _fees_of(original: Original) -> Sequence[Sequence[int]]:
    """Return the places of the fees that sum to zero: those beside each wallet, or else those of each currency."""
    beside: dict[tuple[str, UUID], list[int]] = {}
    by_currency: dict[str, list[int]] = {}
    for index, entry in enumerate(original.entries):
        if entry.is_fee:
            beside.setdefault((entry.currency, entry.wallet_id), []).append(index)
            by_currency.setdefault(entry.currency, []).append(index)
    is_paired = not any(sum(original.entries[index].amount_minor for index in places) for places in beside.values())
    return [*(beside if is_paired else by_currency).values()]


def _sum_of(original: Original, back: Sequence[int], currency: str) -> int:
    return sum(minor for entry, minor in zip(original.entries, back, strict=True) if entry.currency == currency)
