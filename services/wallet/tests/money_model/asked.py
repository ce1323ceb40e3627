"""What may be asked of the model: one value for each command, in the model's own names and in minor units."""

from dataclasses import dataclass
from datetime import datetime

from services.wallet.tests.money_model.things import Limit, Rule


@dataclass(frozen=True, slots=True)
class Open:
    """Open a wallet."""

    owner: str
    currency: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Deposit:
    """Take money in."""

    wallet: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Pay money out."""

    wallet: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move money to another wallet."""

    payer: str
    payee: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class To:
    """Where a part goes (None: out): an *amount*, a *share* in parts per million, or the rest where both are None."""

    wallet: str | None
    amount: int | None = None
    share: int | None = None


@dataclass(frozen=True, slots=True)
class Pay:
    """Pay several."""

    payer: str
    amount: int
    currency: str
    to: tuple[To, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Hold money, until *ends_at* or as long as the policy says."""

    wallet: str
    amount: int
    currency: str
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Increase:
    """Hold more, or for longer."""

    hold: str
    amount: int = 0
    currency: str | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """Pay out of a hold, all that remains where *amount* is None."""

    hold: str
    to: tuple[To, ...]
    amount: int | None = None
    currency: str | None = None
    is_final: bool = False
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class Void:
    """Release a hold."""

    hold: str


@dataclass(frozen=True, slots=True)
class Expire:
    """Release a hold that ended at *due_at*."""

    hold: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take a transaction back: *how* is `refund`, `reversal` or `chargeback`. *parts* are of its payees."""

    how: str
    transaction: str
    amount: int | None = None
    currency: str | None = None
    parts: tuple[tuple[str, int], ...] = ()
    returns_fees: bool = False
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class AskForQuote:
    """Ask what *gives* come to, or what *gets* cost, at the mid *rate* (None: there is none)."""

    source: str
    destination: str
    gives: int | None
    gets: int | None
    valid_s: int
    rate: str | None


@dataclass(frozen=True, slots=True)
class Convert:
    """Use a quote."""

    quote: str
    payer: str
    payee: str


@dataclass(frozen=True, slots=True)
class ExpireQuote:
    """End a quote."""

    quote: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """Restrict a wallet in the name of *source*."""

    wallet: str
    source: str
    scope: str


@dataclass(frozen=True, slots=True)
class Unfreeze:
    """Lift what *source* restricted."""

    wallet: str
    source: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close a wallet for good."""

    wallet: str


@dataclass(frozen=True, slots=True)
class SetLine:
    """Let a wallet go *line* below zero."""

    wallet: str
    line: int
    currency: str


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Set a wallet's zone, and its own limits."""

    wallet: str
    zone: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class SetTier:
    """Make an owner one of *tier*."""

    owner: str
    tier: str


@dataclass(frozen=True, slots=True)
class SetTiers:
    """Set the tiers with their limits, where the policy is at *version*."""

    version: int
    tiers: tuple[tuple[str, tuple[Limit, ...]], ...]


@dataclass(frozen=True, slots=True)
class SetFees:
    """Set the fee rules, where the policy is at *version*."""

    version: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class SetTerms:
    """Set how long holds last, and what may be captured beyond them, where the policy is at *version*."""

    version: int
    days: int
    days_max: int
    overcapture_ppm: int


@dataclass(frozen=True, slots=True)
class SetPairs:
    """Set which pairs are converted, each with its spread or None for that of all, where the policy is at *version*."""

    version: int
    spread_ppm: int
    pairs: tuple[tuple[str, str, int | None], ...]


Asked = (
    Open
    | Deposit
    | Withdraw
    | Transfer
    | Pay
    | Place
    | Increase
    | Capture
    | Void
    | Expire
    | TakeBack
    | AskForQuote
    | Convert
    | ExpireQuote
    | Freeze
    | Unfreeze
    | Close
    | SetLine
    | SetLimits
    | SetTier
    | SetTiers
    | SetFees
    | SetTerms
    | SetPairs
)
