"""The committer's own promises: bounds, deadlines, splitting, joining."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from services.wallet.tests.scripted_ledger import Driven, ScriptedLedger, a_deposit, until

from servicekit.failures import Overloaded, Unavailable
from wallet.application.failures import OutcomeUnknown
from wallet.application.units import Stored, UnitKey


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


async def test_what_queued_during_a_commit_is_the_next_batch(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger, batch=8)
    ledger.gate.clear()
    running = asyncio.create_task(driven.committer.run())
    first = driven.queue.submit(a_deposit("0"))
    await until(lambda: ledger.waiting == 1)
    rest = [driven.queue.submit(a_deposit(str(n))) for n in range(1, 11)]

    ledger.gate.set()
    await asyncio.gather(first, *rest)
    driven.queue.close()
    await running

    assert ledger.batches == [1, 8, 2]


async def test_a_full_queue_refuses_at_once(ledger: ScriptedLedger) -> None:
    queue = Driven(ledger, commands_max=3).queue
    for n in range(3):
        queue.submit(a_deposit(str(n)))

    with pytest.raises(Overloaded):
        queue.submit(a_deposit("one too many"))

    assert queue.commands == 3


async def test_an_old_queue_refuses_at_once(ledger: ScriptedLedger) -> None:
    queue = Driven(ledger, age_max_s=-1.0).queue
    queue.submit(a_deposit("waits"))

    with pytest.raises(Overloaded):
        queue.submit(a_deposit("one too many"))


async def test_a_command_past_its_deadline_is_not_executed(ledger: ScriptedLedger) -> None:
    (answer,) = await Driven(ledger).answers(a_deposit("late", deadline_s=-1.0))

    assert isinstance(answer, Overloaded)
    assert ledger.batches == []


async def test_a_stuck_commit_is_answered_at_the_deadline_as_unknown(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger, sweep_every_s=0.005)
    ledger.gate.clear()
    running = asyncio.create_task(driven.committer.run())

    with pytest.raises(OutcomeUnknown):
        await driven.queue.submit(a_deposit("stuck", deadline_s=0.02))

    ledger.gate.set()
    driven.queue.close()
    await running


async def test_a_repeat_of_what_is_stuck_has_a_deadline_of_its_own(ledger: ScriptedLedger) -> None:
    queue = Driven(ledger, sweep_every_s=0.001).queue
    first, repeat = a_deposit("a", deadline_s=0.01), a_deposit("a", deadline_s=0.05)
    stuck = queue.submit(first)
    queue.take(1)
    sweeping = asyncio.create_task(queue.sweep_for_ever())
    with pytest.raises(OutcomeUnknown):
        await stuck
    waiting = queue.submit(repeat)

    queue.drop_overdue([first])  # the batch that was stuck is about to run again

    with pytest.raises(Overloaded):
        await asyncio.wait_for(waiting, 30)
    sweeping.cancel()


async def test_one_bad_command_does_not_fail_the_rest(ledger: ScriptedLedger) -> None:
    def refuse_the_bad_one(keys: Sequence[UnitKey]) -> Exception | None:
        return asyncpg.CheckViolationError("bad") if any(key[1] == "bad" for key in keys) else None

    ledger.fails = refuse_the_bad_one

    answers = await Driven(ledger).answers(*(a_deposit(key) for key in ("1", "2", "bad", "3", "4")))

    assert [type(answer) for answer in answers] == [Stored, Stored, asyncpg.CheckViolationError, Stored, Stored]


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.SerializationError("again"),
        asyncpg.DeadlockDetectedError("again"),
        asyncpg.LockNotAvailableError("again"),
        asyncpg.AdminShutdownError("gone"),
        ConnectionResetError(),
    ],
)
async def test_what_may_pass_is_run_again(ledger: ScriptedLedger, error: Exception) -> None:
    failures = [error, error]
    ledger.fails = lambda _keys: failures.pop() if failures else None

    (outcome,) = await Driven(ledger).answers(a_deposit("k"))

    assert isinstance(outcome, Stored)
    assert ledger.batches == [1]


async def test_exhausted_resources_refuse_everybody_without_a_split(ledger: ScriptedLedger) -> None:
    attempts: list[int] = []

    def out_of_memory(keys: Sequence[UnitKey]) -> Exception:
        attempts.append(len(keys))
        return asyncpg.OutOfMemoryError("53200")

    ledger.fails = out_of_memory

    answers = await Driven(ledger).answers(*(a_deposit(str(n)) for n in range(4)))

    assert [type(answer) for answer in answers] == [Unavailable] * 4
    assert attempts == [4]


async def test_a_repeat_in_flight_joins_the_first(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger)
    first, second = driven.queue.submit(a_deposit("k")), driven.queue.submit(a_deposit("k"))
    running = asyncio.create_task(driven.committer.run())

    one, two = await asyncio.gather(first, second)
    driven.queue.close()
    await running

    assert isinstance(one, Stored)
    assert isinstance(two, Stored)
    assert (one.is_replayed, two.is_replayed, two.answer) == (False, True, one.answer)
    assert ledger.batches == [1]


async def test_a_closed_queue_is_drained_and_takes_no_more(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger)
    queued = [driven.queue.submit(a_deposit(str(n))) for n in range(3)]
    driven.queue.close()

    with pytest.raises(Unavailable):
        driven.queue.submit(a_deposit("too late"))
    await driven.committer.run()

    assert all(isinstance(future.result(), Stored) for future in queued)
