"""Counts of durations by bucket, for what is measured so often that a histogram's lock would cost too much."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

FAST_S: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0)
"""Bounds of what usually takes no time."""


class Buckets:
    """Durations counted by the *bounds_s* they do not exceed, by one event loop alone."""

    __slots__ = ("_bounds_s", "_counts", "_sum_s")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self._sum_s += seconds

    def observe_all(self, durations_s: Iterable[float]) -> None:
        """Count many."""
        bounds_s, counts = self._bounds_s, self._counts
        sum_s = 0.0
        for seconds in durations_s:
            counts[bisect_left(bounds_s, seconds)] += 1
            sum_s += seconds
        self._sum_s += sum_s

    @property
    def sum_s(self) -> float:
        """All durations together."""
        return self._sum_s

    def cumulative(self) -> list[tuple[str, int]]:
        """Return how many did not exceed each bound, the last of which is `+Inf`, as Prometheus has them."""
        told, count = [], 0
        for bound, own in zip([*map(str, map(float, self._bounds_s)), "+Inf"], self._counts, strict=True):
            count += own
            told.append((bound, count))
        return told
