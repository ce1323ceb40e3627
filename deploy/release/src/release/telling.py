"""What the gateway told its clients: the requests of its log, from a place or a time on."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from release.domain.watching import Answered

READ_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of the log's end: more than a minute of what one machine carries."""


def size_of(log: Path) -> int:
    """Return how long the log is now, in bytes."""
    return log.stat().st_size if log.exists() else 0


def answered(log: Path, *, from_byte: int = 0, since_s: float = 0.0) -> list[Answered]:
    """Return the requests from *from_byte* on that ended since *since_s* of Unix time, as far as they are looked at."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(from_byte, size_of(log) - READ_BYTES_MAX))
        lines = file.read(READ_BYTES_MAX).decode(errors="replace").splitlines()
    return [each for each in _parsed(lines) if each.at_s >= since_s]


def _parsed(lines: list[str]) -> Iterator[Answered]:
    for line in lines:
        try:
            told = json.loads(line)
            at_s = int(datetime.fromisoformat(told["time"]).timestamp())
            yield Answered(at_s, int(told["status"]), round(float(told["seconds"]) * 1e3))
        except (ValueError, KeyError, TypeError):
            continue  # the line that begins before the place, or is being written
