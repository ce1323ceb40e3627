"""The queue before the committer: bounded by length and by age, with a deadline for every command in it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from servicekit.clock import monotonic_s
from servicekit.failures import Overloaded, Unavailable
from wallet.application.failures import InFlight, OutcomeUnknown
from wallet.application.metrics import CommitterMetrics
from wallet.application.units import Outcome, Stored, Unit, UnitKey

COMMANDS_MAX: Final = 8_192
AGE_MAX_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """The bounds of the queue. Commands are counted, not requests."""

    commands_max: int = COMMANDS_MAX
    age_max_s: float = AGE_MAX_S
    sweep_every_s: float = 0.05


class CommandQueue:
    """Takes units in, gives them out in batches, and answers each exactly once: by its outcome or by its deadline."""

    def __init__(
        self, limits: QueueLimits, *, metrics: CommitterMetrics, is_halted: Callable[[], bool] = lambda: False
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._is_halted = is_halted
        self._waiting: deque[Unit] = deque()
        self._commands = 0
        self._in_flight: dict[UnitKey, Unit] = {}  # queued or being committed
        self._is_closed = False
        self.wake = asyncio.Event()
        """Set whenever there is something new to look at."""

    @property
    def commands(self) -> int:
        """How many commands wait for a batch."""
        return self._commands

    @property
    def age_s(self) -> float:
        """How long the oldest of them has waited."""
        return monotonic_s() - self._waiting[0].queued_s if self._waiting else 0.0

    @property
    def is_drained(self) -> bool:
        """Closed, and nothing waits."""
        return self._is_closed and not self._waiting

    def close(self) -> None:
        """Take no more units; those that wait are still given out."""
        self._is_closed = True
        self.wake.set()

    def submit(self, unit: Unit) -> asyncio.Future[Outcome]:
        """Queue *unit* and return the future of its outcome. A repeat of a key in flight joins the first.

        Raises, at once or through the future, Overloaded or Unavailable when nothing was done, OutcomeUnknown when that
        is not known by the deadline, InFlight when the first request under the key was abandoned and is not settled.
        """
        if unit.key in self._in_flight:
            return asyncio.ensure_future(self._join(unit))
        self._admit(unit)
        return unit.outcome

    def take(self, commands_max: int) -> list[Unit]:
        """Return the next units of up to *commands_max* commands, or one heavier unit alone; drop the overdue."""
        now_s = monotonic_s()
        batch: list[Unit] = []
        weight = 0
        while self._waiting:
            unit = self._waiting[0]
            if batch and weight + unit.weight > commands_max:
                break
            self._waiting.popleft()
            self._commands -= unit.weight
            if unit.deadline_s < now_s or unit.outcome.done():
                self._expire(unit)
                continue
            unit.is_taken = True
            batch.append(unit)
            weight += unit.weight
        return batch

    def answer(self, units: Sequence[Unit], outcomes: Sequence[Outcome]) -> None:
        """Tell each unit its outcome."""
        for unit, outcome in zip(units, outcomes, strict=True):
            self._forget(unit)
            self._metrics.answered(unit, outcome)
            if not unit.outcome.done():
                unit.outcome.set_result(outcome)

    def fail(self, units: Sequence[Unit], error: Exception) -> None:
        """Tell each unit that there is no outcome."""
        for unit in units:
            self._forget(unit)
            if not unit.outcome.done():
                unit.outcome.set_exception(error)

    def abandon(self) -> None:
        """Close, and tell everybody in flight that nobody works for them any more."""
        self.close()
        self.fail(list(self._in_flight.values()), Unavailable("The committer has ended."))

    def drop_overdue(self, units: Sequence[Unit]) -> list[Unit]:
        """Return those of the taken *units* whose clients still wait; the others are answered as overdue."""
        now_s = monotonic_s()
        for unit in units:
            if unit.deadline_s < now_s:
                self._expire(unit)
        return [unit for unit in units if not unit.outcome.done()]

    async def sweep_for_ever(self) -> None:
        """Answer in time even while a batch is stuck: deadlines are swept here, not waited for one by one."""
        while True:
            await asyncio.sleep(self._limits.sweep_every_s)
            now_s = monotonic_s()
            for unit in [unit for unit in self._in_flight.values() if unit.deadline_s < now_s]:
                self._expire(unit)

    def _admit(self, unit: Unit) -> None:
        if self._is_closed:
            raise Unavailable("The service is stopping.")
        if self._is_halted():
            raise Unavailable("The ledger is halted until an operator decides.")
        # A unit heavier than the whole queue is admitted alone, or it could never be.
        if self._waiting and self._commands + unit.weight > self._limits.commands_max:
            self._metrics.refused("queue_full")
            raise Overloaded("The command queue is full.")
        if self._waiting and self.age_s > self._limits.age_max_s:
            self._metrics.refused("queue_old")
            raise Overloaded("The command queue does not move fast enough.")
        unit.queued_s = monotonic_s()
        self._waiting.append(unit)
        self._commands += unit.weight
        self._in_flight[unit.key] = unit
        self.wake.set()

    async def _join(self, unit: Unit) -> Outcome:
        """Wait for the first request under the key; another request under it goes its own way afterwards."""
        while (first := self._in_flight.get(unit.key)) is not None:
            await asyncio.wait([first.outcome])
            if first.outcome.cancelled():
                raise InFlight("The first request under this key was given up by its client and is still under way.")
            if first.fingerprint == unit.fingerprint:
                return _as_repeat(first.outcome.result())
        self._admit(unit)
        return await unit.outcome

    def _expire(self, unit: Unit) -> None:
        """Answer a unit past its deadline: one that was not taken has not been executed, of another nobody knows."""
        if unit.outcome.done():  # answered before, or its client is gone
            self._forget(unit)
        elif unit.is_taken:
            self._metrics.refused("outcome_unknown")
            self.fail([unit], OutcomeUnknown("The outcome is not known yet; repeat the command with the same key."))
        else:
            self._metrics.refused("deadline")
            self.fail([unit], Overloaded("The command waited too long and was not executed."))

    def _forget(self, unit: Unit) -> None:
        """Take *unit* out of those in flight; a repeat that came after its deadline has its place, and stays."""
        if self._in_flight.get(unit.key) is unit:
            del self._in_flight[unit.key]


def _as_repeat(outcome: Outcome) -> Outcome:
    """Return what a repeat of the request is answered."""
    return msgspec.structs.replace(outcome, is_replayed=True) if isinstance(outcome, Stored) else outcome
