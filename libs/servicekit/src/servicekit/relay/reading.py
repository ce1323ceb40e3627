"""How much one read may bring: bounded in rows and bytes, less after what took too long, more again by and by."""

from typing import Final

SHARE_MIN: Final = 1 / 1024


class ReadSize:
    """The bounds of a read: *rows* and *size_bytes* in all, *rows_per_shard* of each shard."""

    def __init__(self, *, rows_per_shard: int, rows: int, size_bytes: int) -> None:
        self._rows_per_shard = rows_per_shard
        self._rows = rows
        self._size_bytes = size_bytes
        self._share = 1.0

    def per_shard(self, shards: int) -> tuple[int, int]:
        """Return how many rows and bytes each of *shards* may bring now, at least one row."""
        rows = min(self._rows_per_shard, self._rows // shards)
        return max(1, int(rows * self._share)), max(1, int(self._size_bytes / shards * self._share))

    def halve(self) -> None:
        """Ask for half: the last one could not be read, or nothing of it be sent, in time."""
        self._share = max(SHARE_MIN, self._share / 2)

    def grow(self) -> None:
        """Ask for twice as much, up to the bounds."""
        self._share = min(1.0, self._share * 2)
