"""Money moves."""

from typing import Final

import msgspec

from contracts.event_types import EventType
from contracts.events.parts import Balance, Counterparty, Private
from contracts.money import Money


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What was converted at *rate*, destination per source, a decimal."""

    rate: str
    source: Money
    destination: Money


class EntryPosted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wallet's entry of a ledger transaction. *amount* is signed: negative leaves the wallet.

    The members with defaults are left out where they do not apply. *forced*: it went below the floor, or through
    restrictions.
    """

    transaction_id: str
    transaction_type: str
    wallet_id: str
    owner_id: str
    amount: Money
    balance: Balance
    counterparty: Counterparty | None
    private: Private | None
    hold_id: str | None = None
    quote_id: str | None = None
    related_transaction_id: str | None = None
    fee_rule: str | None = None
    policy_version: int | None = None
    forced: bool = False
    conversion: Conversion | None = None


class SystemEntryPosted(msgspec.Struct, frozen=True, kw_only=True):
    """The other side of a wallet's entry, posted to a system account, which has no version and no running balance."""

    transaction_id: str
    transaction_type: str
    system_account: str
    amount: Money
    counterparty: Counterparty


FUNDS_DEPOSITED: Final = EventType(2, "wallet.funds_deposited.v1", EntryPosted)
FUNDS_WITHDRAWN: Final = EventType(3, "wallet.funds_withdrawn.v1", EntryPosted)
FUNDS_SENT: Final = EventType(4, "wallet.funds_sent.v1", EntryPosted)
FUNDS_RECEIVED: Final = EventType(5, "wallet.funds_received.v1", EntryPosted)
SYSTEM_ENTRY_POSTED: Final = EventType(9, "ledger.system_entry_posted.v1", SystemEntryPosted)
TYPES: Final = (FUNDS_DEPOSITED, FUNDS_WITHDRAWN, FUNDS_SENT, FUNDS_RECEIVED, SYSTEM_ENTRY_POSTED)
