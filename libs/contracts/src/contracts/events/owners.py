"""An owner of wallets gets another tier: its own stream, whose subject is the owner's row."""

from typing import Final

import msgspec

from contracts.event_types import EventType
from contracts.events.parts import Private


class OwnerChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The owner is of *tier* from now on, no longer of *tier_before*. *private* has the reason."""

    owner_id: str
    tier: str
    tier_before: str
    private: Private | None


OWNER_CHANGED: Final = EventType(32, "ledger.owner_changed.v1", OwnerChanged)
TYPES: Final = (OWNER_CHANGED,)
