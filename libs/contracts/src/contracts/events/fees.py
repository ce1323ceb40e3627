"""A wallet bears a fee, or gets it back."""

from typing import Final

from contracts.event_types import EventType
from contracts.events.money import EntryPosted

FEE_CHARGED: Final = EventType(23, "wallet.fee_charged.v1", EntryPosted)
FEE_RETURNED: Final = EventType(24, "wallet.fee_returned.v1", EntryPosted)
TYPES: Final = (FEE_CHARGED, FEE_RETURNED)
