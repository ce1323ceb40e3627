"""What the cells made: rates by cell, round by round."""

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """What a cell made: transfers a second, and µs of CPU per transfer where they were measured."""

    per_s: float
    cpu_us: float | None = None
    generator_cpu_share: float | None = None


@dataclass(slots=True)
class Series:
    """Every measured rate by cell name, `<what> <kind> <setting>`."""

    rates: dict[str, list[Rate]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, rate: Rate) -> None:
        """Keep one round's rate."""
        self.rates[name].append(rate)

    def median(self, name: str) -> float | None:
        """Return a cell's median over the rounds, transfers a second; None if it was not measured."""
        return statistics.median(rate.per_s for rate in self.rates[name]) if name in self.rates else None

    def paired(self, name: str, other: str) -> float | None:
        """Return the median over the rounds of *name*'s rate ÷ that of *other* in the same round, None without both.

        For cells whose sides follow one another at once: what the machine does meanwhile it does to both.
        """
        if name not in self.rates or other not in self.rates:
            return None
        rounds = zip(self.rates[name], self.rates[other], strict=True)
        return statistics.median(one.per_s / another.per_s for one, another in rounds)

    def best(self, what: str) -> float | None:
        """Return the best median among the settings of *what*; None if none was measured."""
        return max(self.medians(what).values(), default=None)

    def medians(self, what: str) -> dict[str, float]:
        """Return the medians of the settings of *what*, by setting."""
        return {
            setting: statistics.median(rate.per_s for rate in self.rates[name])
            for name, setting in self._settings(what)
        }

    def _settings(self, what: str) -> Iterator[tuple[str, str]]:
        for name in self.rates:
            if name == what or name.startswith(f"{what} "):
                yield name, name.removeprefix(what).strip()
