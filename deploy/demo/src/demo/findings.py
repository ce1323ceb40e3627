"""What the demo found out about each invariant."""

from dataclasses import dataclass, field
from typing import Final

EXAMPLES_MAX: Final = 10

STATEMENTS: Final = {
    "I1": "every transaction's entries sum to zero per currency",
    "I2": "a wallet's balance is the fold of its journal, at every version",
    "I3": "no command takes a wallet below its floor",
    "I4": "wallet versions and shard sequences are dense",
    "I5": "an acknowledged command happened exactly once",
    "I6": "journal = distinct events in Kafka = read model",
    "I7": "first occurrences ascend within a shard",
    "I8": "the rebuilt read model has the same rows, hash for hash",
    "I10": "the same key with the same request gives the same answer",
    "I11": "what is held, and what was taken back, is what was acknowledged of it",
    "I13": "each event reaches its subscriber under one id, each decision is applied once",
    "I16": "what limits count is what was acknowledged, and nothing beyond them is accepted",
}


@dataclass(slots=True)
class Invariant:
    """How often an invariant was checked, how often it was broken, and the first breaches in words."""

    checked: int = 0
    broken: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether it was never found broken. Traffic that gives no occasion to break it keeps it."""
        return self.broken == 0


class Findings:
    """All invariants of one run."""

    def __init__(self) -> None:
        self.invariants = {name: Invariant() for name in STATEMENTS}

    def judge(self, name: str, what: str, *values: object, is_right: bool) -> None:
        """Note one check and, unless *is_right*, its breach: *what* formatted with *values*."""
        self.invariants[name].checked += 1
        if not is_right:
            self._broken(name, what.format(*values))

    @property
    def hold(self) -> bool:
        """Whether every invariant holds."""
        return all(invariant.holds for invariant in self.invariants.values())

    def _broken(self, name: str, what: str) -> None:
        """Note a breach."""
        invariant = self.invariants[name]
        invariant.broken += 1
        if len(invariant.examples) < EXAMPLES_MAX:
            invariant.examples.append(what)
