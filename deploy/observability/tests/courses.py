"""How a series goes over the time of a rule test: calm, then trouble, then calm again; as promtool writes values.

Nothing that a test expects depends on a sample at the very edge of a window: Prometheus 2 counts it, 3 does not.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

CALM: Final = 24
"""Samples before the trouble: six minutes."""
TROUBLE: Final = 44
"""Eleven minutes: a window of five has filled, and then a `for` of five has passed."""
AFTER: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """How many samples each phase has, and how far apart they are; times are told just before the next sample."""

    calm: int = CALM
    trouble: int = TROUBLE
    after: int = AFTER
    step_s: int = 15

    @property
    def before_s(self) -> int:
        """Return a time at the end of the calm."""
        return self.calm * self.step_s - 5

    @property
    def within_s(self) -> int:
        """Return a time at the end of the trouble."""
        return (self.calm + self.trouble) * self.step_s - 5

    @property
    def end_s(self) -> int:
        """Return a time at the end of the calm behind it."""
        return (self.calm + self.trouble + self.after) * self.step_s - 5


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
    """What a value grows by from one sample to the next, in calm and in trouble."""

    calm: float
    trouble: float
    begin: float = 0

    def values(self, phases: Phases) -> str:
        """Return the values in promtool's notation."""
        text: list[str] = []
        value = self.begin
        for each, length in ((self.calm, phases.calm), (self.trouble, phases.trouble), (self.calm, phases.after)):
            text.append(_growing(value, each, length))
            value += each * length
        return " ".join(text)


@dataclass(frozen=True, slots=True)
class Clock:
    """A time that is *ahead_s* of now (behind it, where less than 0), and stands still in trouble."""

    ahead_s: float

    def values(self, phases: Phases) -> str:
        """Return the values in promtool's notation."""
        stands = (phases.calm - 1) * phases.step_s + self.ahead_s
        again = (phases.calm + phases.trouble) * phases.step_s + self.ahead_s
        return " ".join(
            (
                _growing(self.ahead_s, phases.step_s, phases.calm),
                _constant(stands, phases.trouble),
                _growing(again, phases.step_s, phases.after),
            )
        )


@dataclass(frozen=True, slots=True)
class Changing:
    """A value that is another at each sample of the trouble, and stays at the last."""

    calm: float

    def values(self, phases: Phases) -> str:
        """Return the values in promtool's notation."""
        end = self.calm + phases.trouble
        return " ".join(
            (
                _constant(self.calm, phases.calm),
                _growing(self.calm + 1, 1, phases.trouble),
                _constant(end, phases.after),
            )
        )


Course: TypeAlias = Gauge | Counter | Clock | Changing


def _constant(value: float | None, length: int) -> str:
    return f"_x{length}" if value is None else _growing(value, 0, length)


def _growing(value: float, by: float, length: int) -> str:
    return f"{value:.10g}{by:+.10g}x{length - 1}"
