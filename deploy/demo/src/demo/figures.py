"""Figures in flat memory: a histogram of durations and counts by name."""

import math
from collections import Counter
from dataclasses import dataclass, field

_STEP = math.log(1.01)  # a percentile is off by one percent at most
_LEAST_S = 1e-6


@dataclass(slots=True)
class Durations:
    """How long things took, in buckets one percent wide."""

    count: int = 0
    _buckets: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Note one duration."""
        self.count += 1
        self._buckets[round(math.log(max(seconds, _LEAST_S) / _LEAST_S) / _STEP)] += 1

    def percentile_ms(self, percent: float) -> float | None:
        """Return the duration in milliseconds that *percent* of all do not exceed, None if there is none."""
        wanted = self.count * percent / 100
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return _LEAST_S * math.exp(bucket * _STEP) * 1_000
        return None


@dataclass(slots=True)
class PlayFigures:
    """What was played: commands by type, answers by outcome, requests and how long they took.

    *holds* are by what became of them, *money* minor units by what was done with them and currency.
    """

    operations: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    holds: Counter[str] = field(default_factory=Counter)
    money: Counter[tuple[str, str]] = field(default_factory=Counter)
    requests: int = 0
    busy: int = 0
    limited: int = 0
    broken_connections: int = 0
    replays: int = 0
    seconds: float = 0.0
    day_seconds: int = 0
    sent_by_owners: int = 0
    latency: Durations = field(default_factory=Durations)

    @property
    def operations_per_s(self) -> float:
        """Operations acknowledged per second, from the first to the last."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def speed_up(self) -> float | None:
        """How many times faster than it was recorded the day was played; None if there was no day."""
        return self.day_seconds / self.seconds if self.day_seconds and self.seconds else None
