"""The events of `wallet.events`: what the wallet's journal says, one record per row."""

from typing import Final

import msgspec

from contracts.event_types import EventStream, EventType
from contracts.money import Money
from contracts.topics import WALLET_EVENTS


class Private(msgspec.Struct, frozen=True, kw_only=True):
    """All free text of an event. *key_id* names the key it is encrypted under; null means it stands in clear."""

    key_id: str | None
    reference: str | None
    description: str | None
    metadata: dict[str, str] | None
    label: str | None
    destination: str | None
    reason: str | None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's balance after the event: available = posted - held."""

    posted: Money
    held: Money
    available: Money


class Counterparty(msgspec.Struct, frozen=True, kw_only=True):
    """The other side of an entry: a wallet with its owner, or a system account such as `external:USD`."""

    wallet_id: str | None
    owner_id: str | None
    system_account: str | None


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """Who restricts a wallet and how far: `debits` refuses new debits and holds, `all` refuses credits too."""

    source: str
    scope: str


class WalletOpened(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet exists from now on, with nothing in it."""

    wallet_id: str
    owner_id: str
    currency: str
    overdraft_limit: Money
    balance: Balance
    private: Private | None


class EntryPosted(msgspec.Struct, frozen=True, kw_only=True):
    """One wallet's entry of a ledger transaction. *amount* is signed: negative leaves the wallet."""

    transaction_id: str
    transaction_type: str
    wallet_id: str
    owner_id: str
    amount: Money
    balance: Balance
    counterparty: Counterparty | None
    private: Private | None


class RestrictionsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A restriction was set or lifted by *source*; *restrictions* are those in force afterwards."""

    wallet_id: str
    owner_id: str
    source: str
    scope: str
    restrictions: list[Restriction]
    balance: Balance
    private: Private | None


class WalletClosed(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet, empty, is closed for good."""

    wallet_id: str
    owner_id: str
    balance: Balance
    private: Private | None


class SystemEntryPosted(msgspec.Struct, frozen=True, kw_only=True):
    """The other side of a wallet's entry, posted to a system account, which has no version and no running balance."""

    transaction_id: str
    transaction_type: str
    system_account: str
    amount: Money
    counterparty: Counterparty


EventData = WalletOpened | EntryPosted | RestrictionsChanged | WalletClosed | SystemEntryPosted


OPENED: Final = EventType(1, "wallet.opened.v1", WalletOpened)
FUNDS_DEPOSITED: Final = EventType(2, "wallet.funds_deposited.v1", EntryPosted)
FUNDS_WITHDRAWN: Final = EventType(3, "wallet.funds_withdrawn.v1", EntryPosted)
FUNDS_SENT: Final = EventType(4, "wallet.funds_sent.v1", EntryPosted)
FUNDS_RECEIVED: Final = EventType(5, "wallet.funds_received.v1", EntryPosted)
RESTRICTED: Final = EventType(6, "wallet.restricted.v1", RestrictionsChanged)
UNRESTRICTED: Final = EventType(7, "wallet.unrestricted.v1", RestrictionsChanged)
CLOSED: Final = EventType(8, "wallet.closed.v1", WalletClosed)
SYSTEM_ENTRY_POSTED: Final = EventType(9, "ledger.system_entry_posted.v1", SystemEntryPosted)

WALLET_STREAM: Final[EventStream[EventData]] = EventStream(
    WALLET_EVENTS,
    (
        OPENED,
        FUNDS_DEPOSITED,
        FUNDS_WITHDRAWN,
        FUNDS_SENT,
        FUNDS_RECEIVED,
        RESTRICTED,
        UNRESTRICTED,
        CLOSED,
        SYSTEM_ENTRY_POSTED,
    ),
)
EVENT_TYPES: Final = WALLET_STREAM.types
"""Every type of `wallet.events` by name."""

parse_data: Final = WALLET_STREAM.parse
"""Return the body of an event of `wallet.events`; see EventStream.parse."""
