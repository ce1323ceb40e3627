"""What a statement says: figures as integers of minor units, instants in UTC, days by the clocks of its zone. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """An entry of the wallet; *amount* is signed, *fee* is the part of it that is a fee."""

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
    """What the entries of one type of transaction come to; *debits* is not negative."""

    transaction_type: str
    entries: int
    credits: int
    debits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """A hold that was open when the statement was closed."""

    hold_id: UUID
    placed_at: datetime
    amount: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFigures:
    """A statement without its lines.

    *period_to* and *to_instant* are not in the period. *debits* and *fees* are not negative, fees are within credits
    and debits. *holds_left_out* counts open holds beyond *holds*. *issue* is 1 for the first issue of the statement.
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
