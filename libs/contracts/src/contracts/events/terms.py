"""What a wallet may do besides what it has: its credit line and its own limits; and what it is called."""

from typing import Final

import msgspec

from contracts.event_types import EventType
from contracts.events.parts import Balance, Private
from contracts.money import Money


class OverdraftChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet may go *limit* below zero from now on, no longer *limit_before*. *private* has the reason."""

    wallet_id: str
    owner_id: str
    limit: Money
    limit_before: Money
    balance: Balance
    private: Private | None


class Limit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bound on what goes through a wallet: amounts are decimal texts of its currency."""

    scope: str
    operation: str
    currency: str
    per_transaction: str | None = None
    day_amount: str | None = None
    day_count: int | None = None
    month_amount: str | None = None
    month_count: int | None = None
    balance: str | None = None


class LimitsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet's days and months are those of *time_zone* from now on, its own limits are *limits*."""

    wallet_id: str
    owner_id: str
    time_zone: str
    limits: list[Limit]
    balance: Balance
    private: Private | None


class DetailsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet's label and metadata are those of *private* from now on; there are none where it is null."""

    wallet_id: str
    owner_id: str
    balance: Balance
    private: Private | None


OVERDRAFT_CHANGED: Final = EventType(29, "wallet.overdraft_changed.v1", OverdraftChanged)
LIMITS_CHANGED: Final = EventType(30, "wallet.limits_changed.v1", LimitsChanged)
DETAILS_CHANGED: Final = EventType(31, "wallet.details_changed.v1", DetailsChanged)
TYPES: Final = (OVERDRAFT_CHANGED, LIMITS_CHANGED, DETAILS_CHANGED)
