"""The events of `wallet.events`: what the wallet's journal says, one record per row. Each capability has a file."""

from typing import Final

from contracts.event_types import EventStream
from contracts.events import fees, holds, money, owners, policy, refunds, restrictions, terms, wallets
from contracts.events.fees import FEE_CHARGED, FEE_RETURNED
from contracts.events.holds import (
    HOLD_CAPTURED,
    HOLD_INCREASED,
    HOLD_PLACED,
    HOLD_RELEASED,
    Hold,
    HoldCaptured,
    HoldChanged,
    HoldReleased,
)
from contracts.events.money import (
    FUNDS_DEPOSITED,
    FUNDS_RECEIVED,
    FUNDS_SENT,
    FUNDS_WITHDRAWN,
    SYSTEM_ENTRY_POSTED,
    Conversion,
    EntryPosted,
    SystemEntryPosted,
)
from contracts.events.owners import OWNER_CHANGED, OwnerChanged
from contracts.events.parts import Balance, Counterparty, Private
from contracts.events.policy import POLICY_CHANGED, PolicyChanged
from contracts.events.refunds import (
    CHARGEBACK_DEBITED,
    REFUND_RECEIVED,
    REFUND_SENT,
    TRANSACTION_REVERSED,
    Refund,
    RefundPosted,
    ReturnedEntry,
)
from contracts.events.restrictions import RESTRICTED, UNRESTRICTED, Restriction, RestrictionsChanged
from contracts.events.terms import (
    DETAILS_CHANGED,
    LIMITS_CHANGED,
    OVERDRAFT_CHANGED,
    DetailsChanged,
    Limit,
    LimitsChanged,
    OverdraftChanged,
)
from contracts.events.wallets import CLOSED, OPENED, WalletClosed, WalletOpened
from contracts.topics import WALLET_EVENTS

__all__ = [
    "CHARGEBACK_DEBITED",
    "CLOSED",
    "DETAILS_CHANGED",
    "EVENT_TYPES",
    "FEE_CHARGED",
    "FEE_RETURNED",
    "FUNDS_DEPOSITED",
    "FUNDS_RECEIVED",
    "FUNDS_SENT",
    "FUNDS_WITHDRAWN",
    "HOLD_CAPTURED",
    "HOLD_INCREASED",
    "HOLD_PLACED",
    "HOLD_RELEASED",
    "LIMITS_CHANGED",
    "OPENED",
    "OVERDRAFT_CHANGED",
    "OWNER_CHANGED",
    "POLICY_CHANGED",
    "REFUND_RECEIVED",
    "REFUND_SENT",
    "RESTRICTED",
    "SYSTEM_ENTRY_POSTED",
    "TRANSACTION_REVERSED",
    "UNRESTRICTED",
    "WALLET_STREAM",
    "Balance",
    "Conversion",
    "Counterparty",
    "DetailsChanged",
    "EntryPosted",
    "EventData",
    "Hold",
    "HoldCaptured",
    "HoldChanged",
    "HoldReleased",
    "Limit",
    "LimitsChanged",
    "OverdraftChanged",
    "OwnerChanged",
    "PolicyChanged",
    "Private",
    "Refund",
    "RefundPosted",
    "Restriction",
    "RestrictionsChanged",
    "ReturnedEntry",
    "SystemEntryPosted",
    "WalletClosed",
    "WalletOpened",
    "parse_data",
]

EventData = (
    WalletOpened
    | EntryPosted
    | RestrictionsChanged
    | WalletClosed
    | SystemEntryPosted
    | HoldChanged
    | HoldCaptured
    | HoldReleased
    | OverdraftChanged
    | LimitsChanged
    | DetailsChanged
    | OwnerChanged
    | PolicyChanged
    | RefundPosted
)

WALLET_STREAM: Final[EventStream[EventData]] = EventStream(
    WALLET_EVENTS,
    sorted(
        (
            *wallets.TYPES,
            *money.TYPES,
            *restrictions.TYPES,
            *holds.TYPES,
            *fees.TYPES,
            *terms.TYPES,
            *owners.TYPES,
            *policy.TYPES,
            *refunds.TYPES,
        ),
        key=lambda event_type: event_type.number,
    ),
)
EVENT_TYPES: Final = WALLET_STREAM.types
"""Every type of `wallet.events` by name."""

parse_data: Final = WALLET_STREAM.parse
"""Return the body of an event of `wallet.events`; see EventStream.parse."""
