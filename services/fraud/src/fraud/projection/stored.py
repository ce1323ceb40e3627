"""Decisions as they are written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from contracts.decisions import DecisionMode, DecisionOutcome


class StoredReason(msgspec.Struct, frozen=True):
    """A reason as it was written down: *value* and *threshold* are decimal strings."""

    rule: str
    outcome: DecisionOutcome
    mode: DecisionMode
    measure: str
    value: str
    threshold: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A decision as it was written down; *decided_at* is the time of the event that triggered it."""

    decision_id: UUID
    wallet_id: UUID
    owner_id: str
    wallet_version: int
    outcome: str
    mode: str
    rules_version: str
    trigger_event_id: UUID
    trigger_shard: int
    trigger_seq: int
    decided_at: datetime
    reasons: Sequence[StoredReason]
