"""Money is held for somebody, and the hold is captured or released."""

from typing import Final

import msgspec

from contracts.event_types import EventType
from contracts.events.parts import Balance, Counterparty, Private
from contracts.money import Money


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold after the event: amount = captured + released + remaining; *fee_reserved* of the payer's fee is held too.

    *purpose* is `payment`. *status* is `open`, `captured`, `voided` or `expired`.
    """

    id: str
    purpose: str
    amount: Money
    fee_reserved: Money
    captured: Money
    released: Money
    remaining: Money
    expires_at: str
    status: str


class HoldChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A hold was placed, or increased by *amount*, which may be nothing where only its expiry was moved.

    *fee_rule* of *policy_version* is what the payer's fee is reserved by; both are left out where none is.
    """

    wallet_id: str
    owner_id: str
    amount: Money
    hold: Hold
    balance: Balance
    private: Private | None
    fee_rule: str | None = None
    policy_version: int | None = None


class HoldCaptured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A wallet's entry of the ledger transaction that captured a part of *hold*. *amount* is negative.

    *forced*: more than was held went, below the floor or through restrictions.
    """

    transaction_id: str
    transaction_type: str
    wallet_id: str
    owner_id: str
    amount: Money
    balance: Balance
    counterparty: Counterparty | None
    hold: Hold
    private: Private | None
    forced: bool = False


class HoldReleased(msgspec.Struct, frozen=True, kw_only=True):
    """*amount* of a hold is available again, because it was voided, has expired, or was captured for the last time."""

    wallet_id: str
    owner_id: str
    amount: Money
    hold: Hold
    cause: str
    balance: Balance
    private: Private | None


HOLD_PLACED: Final = EventType(19, "wallet.hold_placed.v1", HoldChanged)
HOLD_INCREASED: Final = EventType(20, "wallet.hold_increased.v1", HoldChanged)
HOLD_CAPTURED: Final = EventType(21, "wallet.hold_captured.v1", HoldCaptured)
HOLD_RELEASED: Final = EventType(22, "wallet.hold_released.v1", HoldReleased)
TYPES: Final = (HOLD_PLACED, HOLD_INCREASED, HOLD_CAPTURED, HOLD_RELEASED)
