"""A wallet bears a fee."""

from typing import Final

from contracts.event_types import EventType
from contracts.events.money import EntryPosted

FEE_CHARGED: Final = EventType(23, "wallet.fee_charged.v1", EntryPosted)
TYPES: Final = (FEE_CHARGED,)
