"""What a statement tells: its figures and its lines, as they are rendered. Pure. Amounts are minor units."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """An entry as a statement tells it. *amount* is signed; *fee* is what of it was charged, less what was given back.

    *occurred_at* is UTC.
    """

    version: int
    occurred_at: datetime
    transaction_type: str
    event_type: str
    description: str | None
    reference: str | None
    counterparty: str | None
    amount: int
    balance_after: int
    fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeTotal:
    """What the entries of one type of transaction came to."""

    transaction_type: str
    entries: int
    credits: int
    debits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """A hold that was open at the period's end."""

    hold_id: UUID
    placed_at: datetime
    amount: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFigures:
    """A statement: opening + credits - debits = closing, fees within both sides.

    *period_to* and *to_instant* are not included. *issue* is 1 for the first one, more for what was told anew.
    """

    number: int
    wallet_id: UUID
    owner_id: str
    label: str | None
    currency: str
    exponent: int
    time_zone: str
    locale: str
    period_from: date
    period_to: date
    from_instant: datetime
    to_instant: datetime
    first_version: int
    last_version: int
    opening: int
    closing: int
    credits: int
    debits: int
    fees: int
    entries: int
    by_type: tuple[TypeTotal, ...]
    holds: tuple[OpenHold, ...]
    holds_left_out: int
    closed_at: datetime
    issue: int
