"""What the model keeps, and what it says that a command must be answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from demo.operations import Scope


@dataclass(slots=True)
class WalletState:
    """A wallet as it must be.

    *scope* is that of its restriction; *id_bytes* are those the platform gave it; *owner* is empty where nobody asks.
    """

    name: str
    currency: str
    posted_minor: int = 0
    version: int = 1
    is_closed: bool = False
    scope: Scope | None = None
    id_bytes: bytes | None = None
    owner: str = ""
    held_minor: int = 0
    overdraft_minor: int = 0

    @property
    def spendable_minor(self) -> int:
        """What a debit may take."""
        return self.posted_minor - self.held_minor + self.overdraft_minor


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: of a wallet, with balance and version after it if nothing else happens meanwhile, or of an account.

    *is_concealed*: its sender may not see the wallet. *is_fee*: it is for a fee.
    """

    account: str
    currency: str
    delta_minor: int
    posted_minor_after: int | None = None
    version_after: int | None = None
    is_concealed: bool = False
    is_fee: bool = False

    @property
    def is_wallets(self) -> bool:
        """Whether it is of a wallet."""
        return self.version_after is not None

    @property
    def system(self) -> str:
        """Which system account it is of, without the currency; empty where it is a wallet's."""
        return "" if self.is_wallets else self.account.partition(":")[0]


@dataclass(frozen=True, slots=True)
class ChargedFee:
    """A fee that a wallet bore, by which rule."""

    wallet: str
    rule: str
    minor: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What a command must be answered.

    *code* is the problem's, None for a success. *entries* are a transaction's in their order, *fees* those of them that
    its sender may see. *shows* are members that the body must have.
    """

    status: int
    code: str | None = None
    entries: tuple[Entry, ...] = ()
    fees: tuple[ChargedFee, ...] = ()
    shows: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExpectedBatch:
    """What a batch must be answered: a result per command, or, refused as a whole, the command at *index*."""

    status: int
    results: tuple[Expected, ...] = ()
    index: int | None = None
    refusal: Expected | None = None


class Refused(Exception):
    """The platform must answer *status* with *code*, showing the members *shows*; nothing has changed."""

    def __init__(self, code: str, status: int = 409, **shows: Any) -> None:
        super().__init__(code)
        self.code, self.status, self.shows = code, status, shows

    @property
    def expected(self) -> Expected:
        """It as an answer."""
        return Expected(self.status, self.code, shows=self.shows)


@dataclass(slots=True)
class HoldState:
    """A hold as it must be: placed = captured + released + what remains, and what is reserved of the payer's fee.

    *placings* are when by how much more was held, in turns of the model.
    """

    wallet: str
    currency: str
    placings: list[tuple[int, int]]
    rule: str | None = None
    fee_minor: int = 0
    captured_minor: int = 0
    released_minor: int = 0
    status: str = "open"

    @property
    def placed_minor(self) -> int:
        """All that was ever held, without the fee."""
        return sum(minor for _, minor in self.placings)

    @property
    def remaining_minor(self) -> int:
        """What can be captured."""
        return self.placed_minor - self.captured_minor - self.released_minor


@dataclass(slots=True)
class PostedState:
    """A transaction that may be taken back: *returned* is what went back of each of its entries, the other way round.

    *refunds* counts how often something did.
    """

    kind: str
    entries: tuple[Entry, ...]
    returned: list[int]
    status: str = "posted"
    refunds: int = 0

    @property
    def places(self) -> list[int]:
        """Where somebody was paid: a wallet, or somebody outside."""
        return [
            place
            for place, entry in enumerate(self.entries)
            if entry.delta_minor > 0 and not entry.is_fee and entry.system in {"", "external"}
        ]

    @property
    def currency(self) -> str:
        """What the payees were paid in."""
        return self.entries[self.places[0]].currency

    @property
    def paid_minor(self) -> int:
        """What the payees got."""
        return sum(self.entries[place].delta_minor for place in self.places)

    @property
    def refunded_minor(self) -> int:
        """What of it went back."""
        return -sum(self.returned[place] for place in self.places)

    def rest(self, place: int) -> int:
        """Return what is left of an entry, signed as it is."""
        return self.entries[place].delta_minor + self.returned[place]


@dataclass(slots=True)
class QuoteState:
    """A promise: *source_minor* becomes *target_minor*, at *mid* between units of the currencies."""

    source: str
    target: str
    source_minor: int
    target_minor: int
    mid: Fraction
    spread_ppm: int
    is_used: bool = False
