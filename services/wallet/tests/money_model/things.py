"""What the model of money knows: wallets, holds, transactions, quotes and a policy, each a value that never changes.

All names are the model's own, and all amounts minor units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, Final, NamedTuple

BALANCE_MAX: Final = 9 * 10**18
"""No balance goes beyond this, either way."""
LARGEST: Final = 9 * 10**14
"""No quote promises more than this, in minor units."""
OFTEN: Final = 100
"""How often a hold is captured or increased, and a transaction taken back, at most."""
DECIMALS: Final = {"USD": 2, "EUR": 2, "JPY": 0, "BHD": 3}
Limit = dict[str, Any]
"""As it is sent, but with amounts in minor units."""


class Sum(NamedTuple):
    """An amount among the facts of a refusal."""

    amount: int
    currency: str


class Refusal(Exception):
    """Why nothing is done: the *code*, for *whom* if it is for somebody, and what its problem tells besides."""

    def __init__(self, code: str, whom: str | None = None, **facts: Any) -> None:
        super().__init__(code, whom, facts)
        self.code = code
        self.whom = whom
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet. *restrictions* are scopes by source; *waived*: it was forced below its floor, and is there."""

    owner: str
    currency: str
    posted: int = 0
    line: int = 0
    is_closed: bool = False
    restrictions: Mapping[str, str] = field(default_factory=dict)
    waived: bool = False
    zone: str = "UTC"
    own: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold: lists of when how much was placed, and of what was captured.

    *reserved* is for the fee, by *rule* of the policy's *version*.
    """

    wallet: str
    placed: tuple[tuple[datetime, int], ...]
    ends_at: datetime
    reserved: int
    rule: str | None
    version: int | None
    captured: tuple[int, ...] = ()
    released: int = 0
    status: str = "open"

    @property
    def amount(self) -> int:
        """All that was placed."""
        return sum(amount for _, amount in self.placed)

    @property
    def remaining(self) -> int:
        """What can still be captured."""
        return self.amount - sum(self.captured) - self.released

    @property
    def held(self) -> int:
        """What it holds, the fee's part included."""
        return self.remaining + self.reserved


class Entry(NamedTuple):
    """An entry: of *wallet*, or of the system account *account* that stands beside it."""

    wallet: str
    account: str | None
    currency: str
    amount: int
    is_fee: bool = False
    rule: str | None = None
    version: int | None = None
    forced: bool = False

    @property
    def is_wallets(self) -> bool:
        """Whether a wallet gave or got it, and not for a fee."""
        return self.account is None and not self.is_fee

    @property
    def is_payees(self) -> bool:
        """Whether somebody was paid by it."""
        outside = self.account is not None and self.account.startswith("external:")
        return self.amount > 0 and (outside or self.is_wallets)


@dataclass(frozen=True, slots=True)
class Made:
    """A transaction, and a list of what was posted of each of its entries when it was taken back, time for time."""

    kind: str
    entries: tuple[Entry, ...]
    returned: tuple[tuple[int, ...], ...] = ()
    is_reversed: bool = False

    @property
    def rests(self) -> list[int]:
        """What is left of each entry, signed as it is."""
        return [entry.amount + sum(back[place] for back in self.returned) for place, entry in enumerate(self.entries)]

    @property
    def payees(self) -> list[int]:
        """The places of the entries by which somebody was paid."""
        return [place for place, entry in enumerate(self.entries) if entry.is_payees]

    @property
    def currency(self) -> str:
        """What it is taken back in."""
        return self.entries[self.payees[0]].currency


@dataclass(frozen=True, slots=True)
class Promise:
    """A quote: one minor unit of the source is *at* of the destination's, less the *spread*."""

    source: str
    destination: str
    gives: int
    gets: int
    at: Fraction
    spread: Fraction
    ends_at: datetime
    fees: tuple[tuple[str, str, int], ...]
    status: str = "open"


@dataclass(frozen=True, slots=True)
class Band:
    """What amounts up to *up_to* cost; None: all that are larger."""

    up_to: int | None
    flat: int
    rate_ppm: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A fee rule. *bands* price within them alone where *is_marginal*, else all of the amount."""

    id: str
    operation: str
    currency: str
    bearer: str
    tier: str | None = None
    flat: int = 0
    rate_ppm: int = 0
    minimum: int | None = None
    maximum: int | None = None
    bands: tuple[Band, ...] = ()
    is_marginal: bool = False
    valid_from: datetime | None = None
    valid_until: datetime | None = None


class Fee(NamedTuple):
    """What a rule of the policy's version comes to."""

    rule: str
    version: int
    amount: int


@dataclass(frozen=True, slots=True)
class Policy:
    """The tenant's policy: *version* counts its changes; *pairs* are spreads by source and destination."""

    version: int = 0
    tiers: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    fees: tuple[Rule, ...] = ()
    days: int = 7
    days_max: int = 31
    overcapture_ppm: int = 0
    spread_ppm: int = 0
    pairs: Mapping[tuple[str, str], int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """One command that was counted: when, in which zone, how much, and of which hold."""

    at: datetime
    zone: str
    amount: int
    hold: str | None
