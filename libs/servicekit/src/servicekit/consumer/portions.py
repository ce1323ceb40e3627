"""How much of a poll one transaction takes: less after one that could not commit, more again by and by."""

from collections.abc import Iterator, Sequence
from typing import Final

from servicekit.consumer.records import Received

SIZE_MIN_BYTES: Final = 64 * 1024
GOOD_BEFORE_GROWTH: Final = 8
"""So many portions have to be committed before twice as much is tried: a portion that fails costs what it took."""


class Portions:
    """Cuts polls into portions of at most *records_max* and, but for a single larger one, *size_max_bytes*."""

    def __init__(self, *, records_max: int, size_max_bytes: int) -> None:
        self._records_max = records_max
        self._size_max_bytes = size_max_bytes
        self._records = records_max
        self._size_bytes = size_max_bytes
        self._good = 0

    def cut(self, received: Sequence[Received]) -> Iterator[Sequence[Received]]:
        """Give *received* in portions, in its order; `halve` and `count_good` count from the next portion on."""
        begin = 0
        while begin < len(received):
            end, size_bytes = begin + 1, received[begin].size_bytes
            while end < min(len(received), begin + self._records):
                size_bytes += received[end].size_bytes
                if size_bytes > self._size_bytes:
                    break
                end += 1
            yield received[begin:end]
            begin = end

    def halve(self) -> None:
        """Take half as much: the last portion could not be committed."""
        self._records = max(1, self._records // 2)
        self._size_bytes = max(SIZE_MIN_BYTES, self._size_bytes // 2)
        self._good = 0

    def count_good(self) -> None:
        """Count a portion that was committed quickly; after some of them take twice as much, up to the bounds."""
        self._good += 1
        if self._good < GOOD_BEFORE_GROWTH:
            return
        self._good = 0
        self._records = min(self._records_max, self._records * 2)
        self._size_bytes = min(self._size_max_bytes, self._size_bytes * 2)
