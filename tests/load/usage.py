"""What takes the cores: the CPU time of every process below this one, by what it is."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Self

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """The CPU seconds that each process has used so far, with its part: a service's process, a database, the broker."""

    of: Mapping[int, tuple[str, float]]

    @classmethod
    def now(cls) -> Self:
        """Look at the processes that there are."""
        of = {}
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it ended meanwhile
                times = process.cpu_times()
                of[process.pid] = part_of(" ".join(process.cmdline())), times.user + times.system
        return cls(of)

    def since(self, before: Self) -> dict[str, float]:
        """Return the CPU seconds of each part from *before* until now."""
        parts: defaultdict[str, float] = defaultdict(float)
        for pid, (part, seconds) in self.of.items():
            parts[part] += seconds - before.of.get(pid, (part, 0.0))[1]
        return dict(parts)


def part_of(command_line: str) -> str:
    """Return what a process is, by its *command_line*."""
    words = command_line.split()
    if words[:1] == ["postgres:"]:
        is_session = any("(" in word for word in words[3:4])  # postgres: ROLE DATABASE HOST(PORT) …
        return f"PostgreSQL: {words[2]}" if is_session else "PostgreSQL: background"
    if "kafka.Kafka" in words:
        return "Kafka"
    if "-m" in words:
        return " ".join(words[words.index("-m") + 1 :][:2])
    return PurePath(words[0]).name if words else "ended"
