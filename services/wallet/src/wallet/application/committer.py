"""The committer: one per process, it turns the queue into batches, one after another, without a timer.

The next batch is whatever queued while the last one was committed. It is decided ahead, on the rows that the batches
before it leave behind and on rows that are read without a lock, and sent as one call in which the database checks that
they are still so: while batch N is written, N+1 stands behind it in the database already, and N+2 is decided. Where a
check fails or a key is taken, a batch is decided on locked rows.

The idempotency key decides every unknown outcome: a batch whose outcome is not known is run again on locked rows, and
what is found under its key was done.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from servicekit.clock import monotonic_s
from servicekit.failures import Failure, Unavailable
from wallet.application.metrics import BatchPath, BatchWhy, CommitterMetrics
from wallet.application.plan import BatchPlan, Planning
from wallet.application.ports import Committed, Conflict, Ledger
from wallet.application.queue import CommandQueue
from wallet.application.rows import BatchRows
from wallet.application.speculation import Gathering, Speculation
from wallet.application.units import Outcome, Unit, keys_of

_log = structlog.get_logger(__name__)
READS_MAX: Final = 4
"""Rounds of reading before a batch: names through links take three at most, and one may go to lost records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitterSettings:
    """How batches are made. *pipelining* decides them ahead; the database has up to *in_flight_max* of them."""

    batch_commands_max: int = 512
    pipelining: bool = True
    in_flight_max: int = 2
    retry_pause_min_s: float = 0.01
    retry_pause_max_s: float = 0.5


@dataclass(frozen=True, slots=True)
class _SpeculativeBatch:
    """A batch decided ahead. *why*: whether what it names was known or had to be read."""

    units: Sequence[Unit]
    plan: BatchPlan
    rows: BatchRows
    commands: int
    why: BatchWhy


@dataclass(frozen=True, slots=True)
class _InFlightBatch:
    """A batch decided ahead that the database has."""

    batch: _SpeculativeBatch
    began_s: float
    writing: "asyncio.Task[Committed]"


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
        self._speculation = Speculation()
        self._in_flight: deque[_InFlightBatch] = deque()

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
        """Return True when a batch is to be made, False when all is done; completes what the database has written."""
        while True:
            if self._in_flight and self._in_flight[0].writing.done():
                await self._complete()
            elif self._is_worth_a_batch(self._queue.commands):
                return True
            elif not self._in_flight and self._queue.is_drained:
                return False
            else:
                self._queue.wake.clear()
                await self._queue.wake.wait()

    def _is_worth_a_batch(self, commands: int) -> bool:
        """Return whether *commands* are enough: a batch much smaller than the last would only empty the pipeline."""
        return commands > 0 and (not self._in_flight or commands * 2 >= self._in_flight[-1].batch.commands)

    async def _next_batch(self) -> None:
        units: Sequence[Unit] = self._queue.take(self._settings.batch_commands_max)
        if not units:
            return
        decided = await self._decide_ahead(units)
        while len(self._in_flight) >= (self._settings.in_flight_max if isinstance(decided, _SpeculativeBatch) else 1):
            await asyncio.wait([self._in_flight[0].writing])
            if not await self._complete():
                if isinstance(decided, _SpeculativeBatch):
                    self._speculation.invalidate(decided.plan)
                units = self._queue.drop_overdue(units)
                decided = await self._decide_ahead(units)
        if not isinstance(decided, _SpeculativeBatch):
            await self._commit(self._queue.drop_overdue(units), decided)
        elif decided.plan.writes_nothing:
            self._metrics.batch(BatchPath.NONE, BatchWhy.REPEATS)
            self._queue.answer(units, decided.plan.outcomes([]))
        else:
            self._in_flight.append(self._send(decided))

    # -- decided ahead

    async def _decide_ahead(self, units: Sequence[Unit]) -> _SpeculativeBatch | BatchWhy:
        """Decide *units* on rows that are not locked, or return why that cannot be."""
        if not self._settings.pipelining:
            return BatchWhy.OFF
        if self._speculation.backs_off():
            return BatchWhy.BACKOFF
        while self._in_flight and self._speculation.has_claims_in_flight(units):
            await asyncio.wait([self._in_flight[0].writing])
            await self._complete()
        try:
            return await self._speculate(units)
        except Exception as error:  # noqa: BLE001 - deciding on locked rows will show whose fault it is
            _log.warning("batch.not_decided_ahead", error=repr(error))
            return BatchWhy.FAILURE

    async def _speculate(self, units: Sequence[Unit]) -> _SpeculativeBatch | BatchWhy:
        gathering = Gathering(units, self._speculation)
        for _ in range(READS_MAX):
            unread = gathering.unread()
            now = self._speculation.time_at(monotonic_s())
            if now is not None and not unread.names and not unread.keys:
                break
            found = await self._ledger.read(unread.names, unread.keys)
            gathering.add(unread, found, monotonic_s())
        else:
            return BatchWhy.FAILURE
        plan = self._plan(units)
        rows = plan(gathering.given(now))
        if plan.ahead_of_clock:
            return BatchWhy.CLOCK
        if plan.unnamed:
            return BatchWhy.FAILURE
        self._speculation.decided(plan)
        why = BatchWhy.READ if gathering.reads else BatchWhy.KNOWN
        return _SpeculativeBatch(units, plan, rows, sum(unit.weight for unit in units), why)

    def _send(self, batch: _SpeculativeBatch) -> _InFlightBatch:
        plan = batch.plan
        writing = asyncio.create_task(self._ledger.commit_if_unchanged(plan.free_keys, plan.expected, batch.rows))
        writing.add_done_callback(lambda _task: self._queue.wake.set())
        return _InFlightBatch(batch, monotonic_s(), writing)

    async def _complete(self) -> bool:
        """Answer the batch that was sent first; where it was not written, settle all and return False."""
        flown = self._in_flight.popleft()
        if _error_of(flown) is not None:
            await self._settle(flown)
            return False
        self._answer(flown)
        self._speculation.confirm()
        return True

    def _answer(self, flown: _InFlightBatch) -> None:
        committed, batch = flown.writing.result(), flown.batch
        self._speculation.read_clock(committed.at, monotonic_s())
        self._speculation.acknowledged(batch.plan, batch.units)
        self._metrics.committed(batch.units, monotonic_s() - flown.began_s)
        self._metrics.batch(BatchPath.AHEAD, batch.why)
        self._queue.answer(batch.units, batch.plan.outcomes(committed.sequences))

    async def _settle(self, failed: _InFlightBatch) -> None:
        """Wait for what was sent behind *failed*, and commit on locked rows what was not written."""
        flown = [failed, *self._in_flight]
        self._in_flight.clear()
        await asyncio.wait([each.writing for each in flown])
        unwritten = []
        for each in flown:
            error = _error_of(each)
            if error is None:
                self._answer(each)
            else:
                self._speculation.invalidate(each.batch.plan)
                unwritten.append((each, self._why_not_written(error)))
        if any(why is BatchWhy.STAMP for _, why in unwritten):
            self._speculation.back_off()
        for each, why in unwritten:
            await self._commit(self._queue.drop_overdue(each.batch.units), why)

    def _why_not_written(self, error: BaseException) -> BatchWhy:
        assert isinstance(error, Exception)
        self._metrics.failed(self._ledger.classify(error))
        match self._ledger.conflict_of(error):
            case Conflict.STAMP:
                return BatchWhy.STAMP
            case Conflict.KEY:
                return BatchWhy.KEY
            case None:
                return BatchWhy.FAILURE

    # -- decided on locked rows

    async def _commit(self, units: Sequence[Unit], why: BatchWhy) -> None:
        """Bring every unit to an outcome or to its deadline."""
        attempt = 0
        while units:
            try:
                outcomes = await self._attempt(units, why)
            except Exception as error:  # noqa: BLE001 - whatever failed, every unit must be answered
                failure = self._ledger.classify(error)
                self._metrics.failed(failure)
                if failure is Failure.DATA and len(units) > 1:
                    await self._commit_halves(units, why)
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

    async def _attempt(self, units: Sequence[Unit], why: BatchWhy) -> list[Outcome]:
        """Commit *units* on locked rows: once more where the rows that were locked name others."""
        gathering = Gathering(units, self._speculation)
        names = gathering.unread().names | gathering.names
        self._speculation.rows.discard(names)
        for _ in range(READS_MAX):
            began_s = monotonic_s()
            plan = self._plan(units)
            sequences = await self._ledger.commit(names, keys_of(units), plan)
            if not plan.unnamed:
                break
            names |= plan.unnamed
        else:
            raise AssertionError(f"a command names rows without end: {plan.unnamed}")
        self._metrics.committed(units, monotonic_s() - began_s)
        self._metrics.batch(BatchPath.LOCKED, why)
        self._speculation.read_clock(plan.now, monotonic_s())
        self._speculation.decided(plan)
        self._speculation.acknowledged(plan, units)
        if plan.ahead_of_clock:
            ahead_s = max((wallet.last_at - plan.now).total_seconds() for wallet in plan.ahead_of_clock)
            _log.warning("batch.wallets_ahead_of_clock", wallets=len(plan.ahead_of_clock), ahead_s=ahead_s)
        return plan.outcomes(sequences)

    async def _commit_halves(self, units: Sequence[Unit], why: BatchWhy) -> None:
        """Commit the halves apart, so that one bad unit cannot fail the rest."""
        middle = len(units) // 2
        await self._commit(units[:middle], why)
        await self._commit(units[middle:], why)

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


def _error_of(flown: _InFlightBatch) -> BaseException | None:
    """Return why *flown*'s write ended without a result; one that was cancelled from within has an unknown outcome."""
    if flown.writing.cancelled():
        return ConnectionError("the write was cancelled")
    return flown.writing.exception()
