"""The committer: one per process, it turns the queue into batches, one after another, without a timer.

The next batch is whatever queued while the last one was committed. It is decided ahead, on the rows that the batches
before it leave behind, and sent as one call that the database fences: while batch N is written, N+1 stands behind it in
the database already, and N+2 is decided. Where the memory cannot serve or was wrong, a batch is decided on locked rows.

The idempotency key decides every unknown outcome: a batch whose outcome is not known is run again on locked rows, and
what is found under its key was done.
"""

import asyncio
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from servicekit.clock import monotonic_s
from servicekit.failures import Failure, Unavailable
from wallet.application.memory import Memory
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import BatchPlan, Planning
from wallet.application.ports import Fenced, Ledger
from wallet.application.queue import CommandQueue
from wallet.application.rows import BatchRows
from wallet.application.units import Outcome, Unit, keys_of
from wallet.domain.commands import wallets_named

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitterSettings:
    """How batches are made. *decides_ahead* turns the pipeline on; the database has up to *in_flight_max* of them."""

    batch_commands_max: int = 512
    decides_ahead: bool = True
    in_flight_max: int = 2
    retry_pause_min_s: float = 0.01
    retry_pause_max_s: float = 0.5


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A batch decided on remembered rows."""

    units: Sequence[Unit]
    plan: BatchPlan
    rows: BatchRows
    commands: int


@dataclass(frozen=True, slots=True)
class _Flight:
    """A batch decided ahead that the database has."""

    ahead: _Ahead
    began_s: float
    writing: "asyncio.Task[Fenced]"


class Committer:
    """Brings what is queued to an outcome: `run` it beside whatever submits to the queue."""

    def __init__(
        self,
        ledger: Ledger,
        queue: CommandQueue,
        *,
        planning: Planning,
        metrics: CommitterMetrics,
        settings: CommitterSettings,
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._planning = planning
        self._metrics = metrics
        self._settings = settings
        self._memory = Memory()
        self._flights: deque[_Flight] = deque()

    async def run(self) -> None:
        """Commit batches until the queue is closed and drained."""
        sweeper = asyncio.create_task(self._queue.sweep_for_ever())
        try:
            while await self._until_due():
                await self._next_batch()
        finally:
            sweeper.cancel()
            self._queue.abandon()

    async def _until_due(self) -> bool:
        """Return True when a batch is to be made, False when all is done; lands what the database has written."""
        while True:
            if self._flights and self._flights[0].writing.done():
                await self._land()
            elif self._is_worth_a_batch(self._queue.commands):
                return True
            elif not self._flights and self._queue.is_drained:
                return False
            else:
                self._queue.wake.clear()
                await self._queue.wake.wait()

    def _is_worth_a_batch(self, commands: int) -> bool:
        """Return whether *commands* are enough: a batch much smaller than the last would only empty the pipeline."""
        return commands > 0 and (not self._flights or commands * 2 >= self._flights[-1].ahead.commands)

    async def _next_batch(self) -> None:
        units = self._queue.take(self._settings.batch_commands_max)
        if not units:
            return
        ahead = self._decide_ahead(units)
        while len(self._flights) >= (1 if ahead is None else self._settings.in_flight_max):
            await asyncio.wait([self._flights[0].writing])
            if not await self._land():
                ahead = None
        if ahead is None:
            await self._commit(self._queue.drop_overdue(units))
        else:
            self._flights.append(self._send(ahead))

    # -- decided ahead

    def _decide_ahead(self, units: Sequence[Unit]) -> _Ahead | None:
        """Decide *units* on remembered rows; None where the memory does not hold all they name."""
        recalled = self._memory.recall(units, monotonic_s()) if self._settings.decides_ahead else None
        if recalled is None:
            return None
        plan = self._plan(units)
        try:
            rows = plan(recalled)
        except Exception as error:  # noqa: BLE001 - deciding on locked rows will show whose bug it is
            _log.warning("batch.not_decided_ahead", error=repr(error))
            return None
        if plan.ahead_of_clock:
            return None
        self._memory.remember(plan)
        return _Ahead(units, plan, rows, sum(unit.weight for unit in units))

    def _send(self, ahead: _Ahead) -> _Flight:
        writing = asyncio.create_task(self._ledger.commit_fenced(keys_of(ahead.units), ahead.plan.named, ahead.rows))
        writing.add_done_callback(lambda _task: self._queue.wake.set())
        return _Flight(ahead, monotonic_s(), writing)

    async def _land(self) -> bool:
        """Answer the batch that was sent first; where it was not written, settle all and return False."""
        flight = self._flights.popleft()
        if _error_of(flight) is not None:
            await self._settle(flight)
            return False
        self._answer(flight)
        self._memory.confirm()
        return True

    def _answer(self, flight: _Flight) -> None:
        fenced = flight.writing.result()
        self._memory.read_clock(fenced.at, monotonic_s())
        self._metrics.committed(flight.ahead.commands, monotonic_s() - flight.began_s)
        self._queue.answer(flight.ahead.units, flight.ahead.plan.outcomes(fenced.sequences))

    async def _settle(self, failed: _Flight) -> None:
        """Wait for what was sent behind *failed*, and commit on locked rows what was not written."""
        flights = [failed, *self._flights]
        self._flights.clear()
        await asyncio.wait([flight.writing for flight in flights])
        unwritten = []
        for flight in flights:
            error = _error_of(flight)
            if error is None:
                self._answer(flight)
            else:
                assert isinstance(error, Exception)
                self._metrics.failed(self._ledger.classify(error))
                unwritten.append(flight)
        self._memory.forget()
        for flight in unwritten:
            await self._commit(self._queue.drop_overdue(flight.ahead.units))

    # -- decided on locked rows

    async def _commit(self, units: Sequence[Unit]) -> None:
        """Bring every unit to an outcome or to its deadline."""
        attempt = 0
        while units:
            try:
                outcomes = await self._attempt(units)
            except Exception as error:  # noqa: BLE001 - whatever failed, every unit must be answered
                failure = self._ledger.classify(error)
                self._metrics.failed(failure)
                self._memory.forget()
                if failure is Failure.DATA and len(units) > 1:
                    await self._commit_halves(units)
                    return
                if failure in {Failure.DATA, Failure.OTHER, Failure.RESOURCES}:
                    self._give_up(units, failure, error)
                    return
                attempt += 1
                _log.warning("batch.runs_again", failure=failure.name, attempt=attempt, error=repr(error))
                await asyncio.sleep(self._pause_s(attempt))
                units = self._queue.drop_overdue(units)
            else:
                self._queue.answer(units, outcomes)
                return

    async def _attempt(self, units: Sequence[Unit]) -> list[Outcome]:
        plan = self._plan(units)
        began_s = monotonic_s()
        sequences = await self._ledger.commit(list(set(_wallet_ids(units))), keys_of(units), plan)
        self._metrics.committed(sum(unit.weight for unit in units), monotonic_s() - began_s)
        self._memory.read_clock(plan.now, monotonic_s())
        self._memory.remember(plan)
        if plan.ahead_of_clock:
            ahead_s = max((wallet.last_at - plan.now).total_seconds() for wallet in plan.ahead_of_clock)
            _log.warning("batch.wallets_ahead_of_clock", wallets=len(plan.ahead_of_clock), ahead_s=ahead_s)
        return plan.outcomes(sequences)

    async def _commit_halves(self, units: Sequence[Unit]) -> None:
        """Commit the halves apart, so that one bad unit cannot fail the rest."""
        middle = len(units) // 2
        await self._commit(units[:middle])
        await self._commit(units[middle:])

    def _give_up(self, units: Sequence[Unit], failure: Failure, error: Exception) -> None:
        """Answer that nothing is known to have happened; the error is logged once, here."""
        _log.error("batch.failed", failure=failure.name, commands=sum(u.weight for u in units), exc_info=error)
        if failure is Failure.DATA:
            self._queue.fail(units, error)
        else:
            self._queue.fail(units, Unavailable("The ledger cannot commit now.", failure=failure))

    def _plan(self, units: Sequence[Unit]) -> BatchPlan:
        return BatchPlan(units, self._planning)

    def _pause_s(self, attempt: int) -> float:
        ceiling_s = min(self._settings.retry_pause_max_s, self._settings.retry_pause_min_s * 2**attempt)
        return random.uniform(0, ceiling_s)  # noqa: S311 - jitter, not a secret


def _wallet_ids(units: Sequence[Unit]) -> Iterator[UUID]:
    for unit in units:
        for command in unit.commands:
            yield from wallets_named(command)


def _error_of(flight: _Flight) -> BaseException | None:
    """Return why *flight*'s write ended without a result; one that was cancelled from within has an unknown outcome."""
    if flight.writing.cancelled():
        return ConnectionError("the write was cancelled")
    return flight.writing.exception()
