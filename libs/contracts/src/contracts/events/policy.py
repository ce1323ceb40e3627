"""A tenant's policy changes: its own stream, whose subject is the policy."""

from typing import Any, Final

import msgspec

from contracts.event_types import EventType


class PolicyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the policy is *document* from now on. *changed_by* is the subject that changed it."""

    section: str
    document: dict[str, Any] | list[dict[str, Any]]
    changed_by: str


POLICY_CHANGED: Final = EventType(33, "ledger.policy_changed.v1", PolicyChanged)
TYPES: Final = (POLICY_CHANGED,)
