"""What a ledger has: wallets and holds; and what a command must have done to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.mix.exchange import Quote

Entry = tuple[str, int]
"""A wallet's id or a system account's name, and what is moved."""


@dataclass
class Wallet:
    """A wallet."""

    owner: str
    currency: str
    posted: int = 0
    overdraft: int = 0
    is_closed: bool = False
    scope: str | None = None
    """How far an operator restricts it."""


@dataclass
class Hold:
    """A hold: placed = captured + released + remaining, and what is reserved of the fee."""

    wallet: str
    placed: int
    fee_rule: Mapping[str, Any] | None
    fee_left: int
    placed_at: datetime
    expires_at: datetime
    captured: int = 0
    released: int = 0
    status: str = "open"
    captures: list[str] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """What can be captured."""
        return self.placed - self.captured - self.released

    @property
    def held(self) -> int:
        """What is held of the wallet."""
        return self.remaining + self.fee_left if self.status == "open" else 0


@dataclass
class Done:
    """What a command must have done: *entries* in their order, *fees* by rule; *hold* is the hold it was about."""

    entries: list[Entry] = field(default_factory=list)
    fees: list[tuple[str, str, int]] = field(default_factory=list)
    hold: Hold | None = None
    fee_places: set[int] = field(default_factory=set)
    quote: Quote | None = None
    made: Any = None
    """What is to be kept under the id that the answer gives it."""
