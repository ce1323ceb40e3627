"""Wallets are restricted, and restrictions are lifted."""

from typing import Final

import msgspec

from contracts.event_types import EventType
from contracts.events.parts import Balance, Private


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """Who restricts a wallet and how far: `debits` refuses new debits and holds, `all` refuses credits too."""

    source: str
    scope: str


class RestrictionsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A restriction was set or lifted by *source*; *restrictions* are those in force afterwards."""

    wallet_id: str
    owner_id: str
    source: str
    scope: str
    restrictions: list[Restriction]
    balance: Balance
    private: Private | None


RESTRICTED: Final = EventType(6, "wallet.restricted.v1", RestrictionsChanged)
UNRESTRICTED: Final = EventType(7, "wallet.unrestricted.v1", RestrictionsChanged)
TYPES: Final = (RESTRICTED, UNRESTRICTED)
