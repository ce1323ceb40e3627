"""Partitions that cannot be written or read for now: their shards wait, and no others."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_DOUBLINGS_MAX: Final = 10


@dataclass(slots=True)
class _Hold:
    failures: int = 0
    until_s: float = 0.0


class Holds:
    """The partitions held back, each until a time of its own that grows with its failures."""

    def __init__(self, *, backoff_s_min: float, backoff_s_max: float, jitter: random.Random) -> None:
        self._backoff_s_min = backoff_s_min
        self._backoff_s_max = backoff_s_max
        self._jitter = jitter
        self._holds: dict[int, _Hold] = {}
        self._under_way: set[int] = set()

    def __len__(self) -> int:
        """How many partitions are held back, those included that are being tried."""
        return len(self._holds.keys() | self._under_way)

    def begin(self, partitions: Collection[int]) -> None:
        """Hold *partitions* until what is on its way to them has ended: `fail` or `clear`."""
        self._under_way.update(partitions)

    def fail(self, partition: int, now_s: float) -> int:
        """Hold *partition* for longer than the last time; return how often it has failed in a row."""
        self._under_way.discard(partition)
        hold = self._holds.setdefault(partition, _Hold())
        backoff_s = min(self._backoff_s_max, self._backoff_s_min * 2 ** min(hold.failures, _DOUBLINGS_MAX))
        hold.failures += 1
        hold.until_s = now_s + backoff_s * self._jitter.uniform(0.5, 1.0)
        return hold.failures

    def clear(self, partition: int) -> None:
        """Hold *partition* no longer: it was written."""
        self._under_way.discard(partition)
        self._holds.pop(partition, None)

    def waits(self, partition: int, now_s: float) -> bool:
        """Return whether *partition* is to be left alone for now."""
        hold = self._holds.get(partition)
        return partition in self._under_way or (hold is not None and now_s < hold.until_s)

    @property
    def on_trial(self) -> set[int]:
        """The partitions that have failed and not been written since."""
        return set(self._holds)
