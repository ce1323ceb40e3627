"""How a series goes over the time of a rule test: calm, then trouble, then calm again; as promtool writes values.

Samples come every 15 s, as `STEP_S` says, and nothing of a test depends on one that is at the very edge of a window.
"""

from dataclasses import dataclass
from typing import Final

STEP_S: Final = 15
CALM: Final = 40
"""Samples before the trouble: ten minutes."""
TROUBLE: Final = 40
AFTER: Final = 90
"""Samples after it, longer than any window but those of budgets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """How many samples each phase has; the trouble begins at the first behind *calm*."""

    calm: int = CALM
    trouble: int = TROUBLE
    after: int = AFTER

    def before_s(self) -> int:
        """Return a time just before the trouble."""
        return self.calm * STEP_S - 5

    def within_s(self) -> int:
        """Return a time at the end of the trouble."""
        return (self.calm + self.trouble) * STEP_S - 5

    def end_s(self) -> int:
        """Return a time at the end of the calm behind it."""
        return (self.calm + self.trouble + self.after) * STEP_S - 5


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value in calm, and another in trouble; None: the series is not there."""

    calm: float | None
    trouble: float | None

    def values(self, phases: Phases) -> str:
        """Return the values in promtool's notation."""
        lengths = ((self.calm, phases.calm), (self.trouble, phases.trouble), (self.calm, phases.after))
        return " ".join(_constant(value, length) for value, length in lengths)


@dataclass(frozen=True, slots=True)
class Counter:
    """What a counter grows by from one sample to the next, in calm and in trouble; it begins at 0."""

    calm: float
    trouble: float

    def values(self, phases: Phases) -> str:
        """Return the values in promtool's notation."""
        text: list[str] = []
        value = 0.0
        for each, length in ((self.calm, phases.calm), (self.trouble, phases.trouble), (self.calm, phases.after)):
            text.append(_growing(value, each, length))
            value += each * length
        return " ".join(text)


@dataclass(frozen=True, slots=True)
class Clock:
    """A time that is *ahead_s* of now (behind, where less than 0) in calm, and stands still in trouble."""

    ahead_s: float

    def values(self, phases: Phases) -> str:
        """Return the values in promtool's notation."""
        stands = (phases.calm - 1) * STEP_S + self.ahead_s
        again = (phases.calm + phases.trouble) * STEP_S + self.ahead_s
        return " ".join(
            (
                _growing(self.ahead_s, STEP_S, phases.calm),
                _constant(stands, phases.trouble),
                _growing(again, STEP_S, phases.after),
            )
        )


Course = Gauge | Counter | Clock


def _constant(value: float | None, length: int) -> str:
    return f"_x{length}" if value is None else _growing(value, 0, length)


def _growing(value: float, by: float, length: int) -> str:
    return f"{value:g}+{by:g}x{length - 1}"
