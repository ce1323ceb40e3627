"""The registry of event types: one struct per type and version, from which its JSON Schema is made.

A published type never changes in a way that an old reader or an old record would not survive: a change that would adds
a version. `schemas/` pins each schema, `samples/` keeps one of each for ever; tests hold both.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from contracts.money import Money


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


@dataclass(frozen=True, slots=True)
class EventType:
    """A published type: *number* stands for it in the journal and is never used again for another."""

    number: int
    name: str
    data: type[EventData]


OPENED: Final = EventType(1, "wallet.opened.v1", WalletOpened)
FUNDS_DEPOSITED: Final = EventType(2, "wallet.funds_deposited.v1", EntryPosted)
FUNDS_WITHDRAWN: Final = EventType(3, "wallet.funds_withdrawn.v1", EntryPosted)
FUNDS_SENT: Final = EventType(4, "wallet.funds_sent.v1", EntryPosted)
FUNDS_RECEIVED: Final = EventType(5, "wallet.funds_received.v1", EntryPosted)
RESTRICTED: Final = EventType(6, "wallet.restricted.v1", RestrictionsChanged)
UNRESTRICTED: Final = EventType(7, "wallet.unrestricted.v1", RestrictionsChanged)
CLOSED: Final = EventType(8, "wallet.closed.v1", WalletClosed)
SYSTEM_ENTRY_POSTED: Final = EventType(9, "ledger.system_entry_posted.v1", SystemEntryPosted)

EVENT_TYPES: Final[dict[str, EventType]] = {
    event_type.name: event_type
    for event_type in (
        OPENED,
        FUNDS_DEPOSITED,
        FUNDS_WITHDRAWN,
        FUNDS_SENT,
        FUNDS_RECEIVED,
        RESTRICTED,
        UNRESTRICTED,
        CLOSED,
        SYSTEM_ENTRY_POSTED,
    )
}
"""Every published type by name."""

TYPES_BY_NUMBER: Final[dict[int, EventType]] = {event_type.number: event_type for event_type in EVENT_TYPES.values()}

_DECODERS: Final = {name: msgspec.json.Decoder(event_type.data) for name, event_type in EVENT_TYPES.items()}


class EventDataError(ValueError):
    """The body does not fit its type's schema, or the type is unknown."""


def parse_data(type_name: str, data: bytes) -> EventData:
    """Return the body of an event of *type_name*; unknown members are ignored, so that readers survive additions."""
    decoder = _DECODERS.get(type_name)
    if decoder is None:
        raise EventDataError(f"unknown event type {type_name}")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EventDataError(f"{type_name}: {error}") from error


def json_schema(event_type: EventType) -> dict[str, object]:
    """Return the JSON Schema of the type's body."""
    schema = msgspec.json.schema(event_type.data)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": event_type.name, **schema}
