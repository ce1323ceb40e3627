"""The events of `fraud.decisions`: what the fraud service decided about a wallet, and why."""

from enum import StrEnum
from typing import Final

import msgspec

from contracts.event_types import EventStream, EventType
from contracts.topics import FRAUD_DECISIONS


class DecisionOutcome(StrEnum):
    """What is to be done, from the mildest to the strictest."""

    ALLOW = "allow"
    REVIEW = "review"
    HOLD = "hold"
    BLOCK = "block"


class DecisionMode(StrEnum):
    """Whether the decision is to be acted on, or only shows what a rule would have done."""

    LIVE = "live"
    SHADOW = "shadow"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """The event of `wallet.events` that tripped a rule."""

    event_id: str
    shard: int
    sequence: int


class DecisionReason(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that was tripped: *measure* names what was measured; *value* and *threshold* are decimal strings."""

    rule: str
    measure: str
    value: str
    threshold: str


class DecisionMade(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about a wallet as it was at *wallet_version*.

    *decision_id* follows from the rules' version, the wallet and the trigger: a rebuild makes the same one.
    """

    decision_id: str
    wallet_id: str
    owner_id: str
    outcome: DecisionOutcome
    mode: DecisionMode
    wallet_version: int
    rules_version: str
    trigger: Trigger
    reasons: list[DecisionReason]


DECISION_MADE: Final = EventType(10, "fraud.decision_made.v1", DecisionMade)

DECISION_STREAM: Final[EventStream[DecisionMade]] = EventStream(FRAUD_DECISIONS, (DECISION_MADE,))
