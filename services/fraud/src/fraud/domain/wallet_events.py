"""Events of `wallet.events`, reduced to what profiles and rules need."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

import msgspec

from contracts.envelope import Envelope
from contracts.events import (
    FUNDS_SENT,
    FUNDS_WITHDRAWN,
    UNRESTRICTED,
    DetailsChanged,
    EntryPosted,
    EventData,
    HoldCaptured,
    HoldChanged,
    HoldReleased,
    LimitsChanged,
    OverdraftChanged,
    OwnerChanged,
    PolicyChanged,
    Restriction,
    RestrictionsChanged,
    SystemEntryPosted,
    WalletClosed,
    WalletOpened,
)
from contracts.money import parse_signed_minor

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Kind(StrEnum):
    """The kinds of debits that rules look at."""

    SENT = "sent"
    WITHDRAWN = "withdrawn"
    HELD = "held"


_KINDS: Final = {FUNDS_SENT.name: Kind.SENT, FUNDS_WITHDRAWN.name: Kind.WITHDRAWN}


class Opened(msgspec.Struct, frozen=True):
    """The wallet exists from now on."""

    owner_id: str
    currency: str


class Debited(msgspec.Struct, frozen=True):
    """Money left the wallet: *amount_minor* is positive."""

    kind: Kind
    amount_minor: int


class RestrictionsSet(msgspec.Struct, frozen=True):
    """A restriction was set or lifted; *restrictions* are those in force afterwards."""

    restrictions: list[Restriction]
    is_lifted: bool


class Other(msgspec.Struct, frozen=True):
    """Something that no rule looks at: money came in, the wallet was closed."""


Payload = Opened | Debited | RestrictionsSet | Other

_OTHER: Final = Other()


class WalletEvent(msgspec.Struct, frozen=True):
    """One event of a wallet. *at_us* is its time, in microseconds since 1970."""

    wallet_id: UUID
    tenant_id: UUID
    version: int
    at_us: int
    payload: Payload
    envelope: Envelope


def wallet_event(event: Envelope, data: EventData) -> WalletEvent | None:
    """Return *event* with its parsed body *data*, reduced; returns None if the event belongs to no wallet."""
    payload: Payload
    match data:
        case EntryPosted():
            kind = _KINDS.get(event.type)
            payload = _OTHER if kind is None else Debited(kind, -parse_signed_minor(data.amount))
        case SystemEntryPosted() | PolicyChanged() | OwnerChanged():
            return None
        case WalletOpened():
            payload = Opened(data.owner_id, data.currency)
        case RestrictionsChanged():
            payload = RestrictionsSet(data.restrictions, event.type == UNRESTRICTED.name)
        case HoldChanged():
            held_minor = parse_signed_minor(data.amount)
            payload = Debited(Kind.HELD, held_minor) if held_minor else _OTHER
        case HoldCaptured() | HoldReleased() | WalletClosed():
            payload = _OTHER  # what is captured was counted when it was held
        case OverdraftChanged() | LimitsChanged() | DetailsChanged():
            payload = _OTHER
        case _:
            assert_never(data)
    # A version that is missing follows none: the fold refuses it.
    return WalletEvent(event.subject, event.tenant_id, event.wallet_version or 0, to_us(event.time), payload, event)


def to_us(instant: datetime) -> int:
    """Return *instant* in microseconds since 1970, exactly."""
    return (instant - _EPOCH) // _MICROSECOND


def from_us(instant_us: int) -> datetime:
    """Return the instant *instant_us* microseconds after the beginning of 1970."""
    return _EPOCH + timedelta(microseconds=instant_us)
