"""The committer: one per process, it turns the queue into batches, one after another, without a timer.

The next batch is whatever queued while the last one committed. The idempotency key decides every unknown outcome: a
batch whose outcome is not known is run again, and what is found under its key was done.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import structlog

from servicekit.clock import monotonic_s
from servicekit.failures import Failure, Overloaded, Unavailable
from wallet.application.failures import InFlight, OutcomeUnknown
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import BatchPlan, HashReference, MakeId
from wallet.application.ports import Ledger
from wallet.application.units import Outcome, Stored, Unit, UnitKey
from wallet.domain.commands import wallets_named

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitterLimits:
    """The bounds of the queue and of a batch. Commands are counted, not requests."""

    batch_commands_max: int = 512
    queue_commands_max: int = 8_192
    queue_age_max_s: float = 1.0
    sweep_every_s: float = 0.05
    retry_pause_min_s: float = 0.01
    retry_pause_max_s: float = 0.5


class Committer:
    """Takes units, answers their outcomes. `submit` raises an OperationalError where there is none."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        make_id: MakeId,
        hash_reference: HashReference,
        metrics: CommitterMetrics,
        limits: CommitterLimits,
        is_halted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ledger = ledger
        self._make_id = make_id
        self._hash_reference = hash_reference
        self._metrics = metrics
        self._limits = limits
        self._is_halted = is_halted
        self._queue: deque[Unit] = deque()
        self._queued_commands = 0
        self._in_flight: dict[UnitKey, Unit] = {}
        self._committing: Sequence[Unit] = ()
        self._wake = asyncio.Event()
        self._is_stopping = False

    def submit(self, unit: Unit) -> asyncio.Future[Outcome]:
        """Queue *unit* and return the future of its outcome. A repeat of a key in flight joins the first.

        Raises, at once or through the future, Overloaded or Unavailable when nothing was done, OutcomeUnknown when that
        is not known by the deadline, InFlight when the first request under the key was abandoned and is not settled.
        """
        if unit.key in self._in_flight:
            return asyncio.ensure_future(self._join(unit))
        self._admit(unit)
        return unit.outcome

    @property
    def queued_commands(self) -> int:
        """How many commands wait for a batch."""
        return self._queued_commands

    @property
    def queue_age_s(self) -> float:
        """How long the oldest of them has waited."""
        return monotonic_s() - self._queue[0].arrived_s if self._queue else 0.0

    async def run(self) -> None:
        """Commit batches until `stop` was called and the queue is empty."""
        sweeper = asyncio.create_task(self._sweep_for_ever())
        try:
            while not self._is_stopping or self._queue:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                if units := self._take_batch():
                    self._committing = units
                    await self._commit(units)
                    self._committing = ()
        finally:
            sweeper.cancel()
            self._fail(list(self._queue), Unavailable("The service is stopping."))

    def stop(self) -> None:
        """Take no more units; `run` returns when the queue is drained."""
        self._is_stopping = True
        self._wake.set()

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

    def _admit(self, unit: Unit) -> None:
        limits = self._limits
        if self._is_stopping:
            raise Unavailable("The service is stopping.")
        if self._is_halted():
            raise Unavailable("The ledger is halted until an operator decides.")
        # A unit heavier than the queue is admitted alone, or it could never be.
        if self._queue and self._queued_commands + unit.weight > limits.queue_commands_max:
            self._metrics.refused("queue_full")
            raise Overloaded("The command queue is full.")
        if self._queue and monotonic_s() - self._queue[0].arrived_s > limits.queue_age_max_s:
            self._metrics.refused("queue_old")
            raise Overloaded("The command queue does not move fast enough.")
        self._queue.append(unit)
        self._queued_commands += unit.weight
        self._in_flight[unit.key] = unit
        self._wake.set()

    def _take_batch(self) -> list[Unit]:
        """Take units of up to `batch_commands_max` commands, or one heavier unit alone; drop the overdue."""
        now_s = monotonic_s()
        batch: list[Unit] = []
        weight = 0
        while self._queue:
            unit = self._queue[0]
            if batch and weight + unit.weight > self._limits.batch_commands_max:
                break
            self._queue.popleft()
            self._queued_commands -= unit.weight
            if unit.deadline_s < now_s:
                self._expire(unit)
                continue
            batch.append(unit)
            weight += unit.weight
        return batch

    async def _commit(self, units: Sequence[Unit]) -> None:
        """Bring every unit to an outcome or to its deadline."""
        attempt = 0
        while units:
            try:
                outcomes = await self._attempt(units)
            except Exception as error:  # noqa: BLE001 - whatever failed, every unit must be answered
                failure = self._ledger.classify(error)
                self._metrics.failed(failure)
                if failure is Failure.DATA and len(units) > 1:
                    await self._commit_split(units)
                    return
                if failure in {Failure.DATA, Failure.OTHER, Failure.RESOURCES}:
                    self._give_up(units, failure, error)
                    return
                attempt += 1
                _log.warning("batch.runs_again", failure=failure.name, attempt=attempt, error=repr(error))
                await asyncio.sleep(self._pause_s(attempt))
                units = self._drop_overdue(units)
            else:
                self._answer(units, outcomes)
                return

    async def _attempt(self, units: Sequence[Unit]) -> list[Outcome]:
        wallet_ids: set[UUID] = set()
        commands = 0
        for unit in units:
            commands += unit.weight
            for command in unit.commands:
                wallet_ids.update(wallets_named(command))
        plan = BatchPlan(units, make_id=self._make_id, hash_reference=self._hash_reference)
        started_s = monotonic_s()
        sequences = await self._ledger.commit(list(wallet_ids), [unit.key for unit in units], plan)
        self._metrics.committed(commands, monotonic_s() - started_s)
        return plan.outcomes(sequences)

    async def _commit_split(self, units: Sequence[Unit]) -> None:
        """Commit the halves apart, so that one bad unit cannot fail the rest."""
        middle = len(units) // 2
        await self._commit(units[:middle])
        await self._commit(units[middle:])

    def _answer(self, units: Sequence[Unit], outcomes: Sequence[Outcome]) -> None:
        for unit, outcome in zip(units, outcomes, strict=True):
            self._in_flight.pop(unit.key, None)
            self._metrics.answered(unit, outcome)
            if not unit.outcome.done():
                unit.outcome.set_result(outcome)

    def _give_up(self, units: Sequence[Unit], failure: Failure, error: Exception) -> None:
        """Answer that nothing is known to have happened; the error is logged once, here."""
        _log.error("batch.failed", failure=failure.name, commands=sum(u.weight for u in units), exc_info=error)
        if failure is Failure.DATA:
            self._fail(units, error)
        else:
            self._fail(units, Unavailable("The ledger cannot commit now.", failure=failure))

    def _drop_overdue(self, units: Sequence[Unit]) -> list[Unit]:
        """Return the units whose clients still wait: the others were told that their outcome is unknown."""
        now_s = monotonic_s()
        overdue = [unit for unit in units if unit.outcome.done() or unit.deadline_s < now_s]
        for unit in overdue:
            self._tell_unknown(unit)
        return [unit for unit in units if not unit.outcome.done()]

    def _pause_s(self, attempt: int) -> float:
        ceiling_s = min(self._limits.retry_pause_max_s, self._limits.retry_pause_min_s * 2**attempt)
        return random.uniform(0, ceiling_s)  # noqa: S311 - jitter, not a secret

    def _fail(self, units: Sequence[Unit], error: Exception) -> None:
        for unit in units:
            self._in_flight.pop(unit.key, None)
            if not unit.outcome.done():
                unit.outcome.set_exception(error)

    def _expire(self, unit: Unit) -> None:
        """Answer a queued unit past its deadline: it was not executed."""
        self._metrics.refused("deadline")
        self._fail([unit], Overloaded("The command waited too long and was not executed."))

    def _tell_unknown(self, unit: Unit) -> None:
        self._metrics.refused("outcome_unknown")
        self._fail([unit], OutcomeUnknown("The command's outcome is not known yet; repeat it with the same key."))

    async def _sweep_for_ever(self) -> None:
        """Answer in time even while a batch is stuck: deadlines are swept here, not waited for one by one."""
        while True:
            await asyncio.sleep(self._limits.sweep_every_s)
            now_s = monotonic_s()
            for unit in self._committing:
                if unit.deadline_s < now_s and not unit.outcome.done():
                    self._tell_unknown(unit)
            while self._queue and self._queue[0].deadline_s < now_s:
                unit = self._queue.popleft()
                self._queued_commands -= unit.weight
                self._expire(unit)


def _as_repeat(outcome: Outcome) -> Outcome:
    """Return what a repeat of the request is answered."""
    return msgspec.structs.replace(outcome, is_replayed=True) if isinstance(outcome, Stored) else outcome
