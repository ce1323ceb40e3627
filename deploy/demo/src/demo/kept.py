"""What the model says is left of holds, transactions and limits when all was played, for the reconciliation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from demo.states import HoldState, PostedState


@dataclass(slots=True)
class Kept:
    """By id: holds, transactions of which something was taken back, what wallets' limits tell; and system accounts."""

    accounts: Counter[str] = field(default_factory=Counter)
    holds: Mapping[UUID, HoldState] = field(default_factory=dict)
    taken_back: Mapping[UUID, PostedState] = field(default_factory=dict)
    used: Mapping[UUID, Sequence[tuple[Any, ...]]] = field(default_factory=dict)
