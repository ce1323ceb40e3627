"""Wallets are opened and closed."""

from typing import Final

import msgspec

from contracts.event_types import EventType
from contracts.events.parts import Balance, Private
from contracts.money import Money


class WalletOpened(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet exists from now on, with nothing in it."""

    wallet_id: str
    owner_id: str
    currency: str
    overdraft_limit: Money
    balance: Balance
    private: Private | None


class WalletClosed(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet, empty, is closed for good."""

    wallet_id: str
    owner_id: str
    balance: Balance
    private: Private | None


OPENED: Final = EventType(1, "wallet.opened.v1", WalletOpened)
CLOSED: Final = EventType(8, "wallet.closed.v1", WalletClosed)
TYPES: Final = (OPENED, CLOSED)
