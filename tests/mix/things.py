"""What a ledger has: wallets, holds and transactions; and what a command must have done to it."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.mix.exchange import Quote

Json = dict[str, Any]
Entry = tuple[str, int]
"""A wallet's id or a system account's name, and what is moved."""
Fee = tuple[Mapping[str, Any] | None, int]
"""The rule that applies, and what it comes to."""
UTC_ZONE: Final = "UTC"


@dataclass
class Wallet:
    """A wallet; *zone* is whose days and months are counted, *limits* are its own."""

    owner: str
    currency: str
    posted: int = 0
    overdraft: int = 0
    is_closed: bool = False
    scope: str | None = None
    """How far an operator restricts it."""
    label: str | None = None
    metadata: Mapping[str, str] | None = None
    zone: str = UTC_ZONE
    limits: Sequence[Mapping[str, Any]] = ()


@dataclass
class Hold:
    """A hold: all that was placed = captured + released + remaining, and what is reserved of the fee."""

    wallet: str
    placings: list[tuple[datetime, int]]
    """When it was placed and increased, and by how much."""
    fee_rule: Mapping[str, Any] | None
    fee_left: int
    expires_at: datetime
    is_end_known: bool
    """Whether its client said when it ends."""
    captured: int = 0
    released: int = 0
    status: str = "open"
    captures: list[str] = field(default_factory=list)

    def copy(self) -> "Hold":
        """Return a hold of its own that is the same."""
        made = copy(self)
        made.placings, made.captures = list(self.placings), list(self.captures)
        return made

    @property
    def placed(self) -> int:
        """All that was held."""
        return sum(amount for _, amount in self.placings)

    @property
    def remaining(self) -> int:
        """What can be captured."""
        return self.placed - self.captured - self.released

    @property
    def held(self) -> int:
        """What is held of the wallet."""
        return self.remaining + self.fee_left if self.status == "open" else 0


@dataclass
class Posted:
    """A transaction: its *entries*, of which those at *fees* are for fees, each wallet's before the account's.

    *currencies* are those of its wallets. *back* is what went back of each entry so far, by the transactions *taken*,
    signed the other way round.
    """

    kind: str
    entries: list[Entry]
    fees: frozenset[int]
    currencies: Mapping[str, str]
    back: list[int] = field(default_factory=list)
    is_reversed: bool = False
    taken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Close each exchanged currency by an account for what is rounded."""
        accounts = [account for account, _ in self.entries]
        exchanged = [account.removeprefix("fx:") for account in accounts if account.startswith("fx:")]
        rounded = [f"rounding:{currency}" for currency in exchanged]
        self.entries = [*self.entries, *((account, 0) for account in rounded if account not in accounts)]
        self.back = [0] * len(self.entries)

    def copy(self) -> "Posted":
        """Return a transaction of its own that is the same."""
        made = copy(self)
        made.taken = list(self.taken)
        return made

    @property
    def payees(self) -> list[int]:
        """Where somebody was paid: a wallet, or somebody outside."""
        return [
            place
            for place, (account, amount) in enumerate(self.entries)
            if amount > 0 and place not in self.fees and (account in self.currencies or account.startswith("external:"))
        ]

    @property
    def currency(self) -> str:
        """What payees were paid in."""
        return self.currency_at(self.payees[0])

    def currency_at(self, place: int) -> str:
        """Return the currency of an entry."""
        account, _ = self.entries[place]
        return self.currencies.get(account) or account.partition(":")[2]

    def rest(self, place: int) -> int:
        """Return what is left of an entry."""
        return self.entries[place][1] + self.back[place]

    @property
    def left(self) -> int:
        """How much can go back."""
        return sum(self.rest(place) for place in self.payees)

    @property
    def refunded(self) -> int:
        """How much went back."""
        return -sum(self.back[place] for place in self.payees)

    @property
    def status(self) -> str:
        """What it is shown as."""
        if self.is_reversed:
            return "reversed"
        if not self.taken:
            return "posted"
        return "partially_refunded" if self.left else "refunded"


@dataclass
class Done:
    """What a command must have done: *entries* in their order, *fees* by rule; *hold* is the hold it was about.

    *wallet* is the wallet that it answers with.
    """

    entries: list[Entry] = field(default_factory=list)
    fees: list[tuple[str, str, int]] = field(default_factory=list)
    hold: Hold | None = None
    wallet: str | None = None
    fee_places: set[int] = field(default_factory=set)
    quote: Quote | None = None
    made: Any = None
    """What is to be kept under the id that the answer gives it."""
    listed: list[str] | None = None
    """Where the id of the answer is listed besides."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What the answer says besides."""

    def charge(self, wallet: str, currency: str, fee: Fee) -> "Done":
        """Add a fee's entries, where it comes to anything."""
        rule, amount = fee
        if rule is not None and amount:
            self.fee_places |= {len(self.entries), len(self.entries) + 1}
            self.entries += [(wallet, -amount), (f"fees:{currency}", amount)]
            self.fees.append((rule["id"], wallet, amount))
        return self
