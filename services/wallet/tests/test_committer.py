"""The committer's own promises: bounds, deadlines, splitting, joining."""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from random import getrandbits
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from servicekit.clock import monotonic_s
from servicekit.failures import Failure, Overloaded, Unavailable, classify
from wallet.adapters.ids import IDS
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.failures import OutcomeUnknown
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import Planning
from wallet.application.ports import Committed, Conflict, Decide
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.rows import BatchInput, BatchRows, KeyRecord, Stamps
from wallet.application.units import KeyReused, Outcome, Stored, Unit, UnitKey, fingerprint
from wallet.domain.money import DepositFunds
from wallet.domain.rows import RowName, Rows
from wallet.domain.wallets import Wallet, WalletStatus
from wallet.entrypoints.catalog import ANSWERS
from wallet.entrypoints.rendering import JsonRenderer

TENANT = new_id()
WALLET_ID = new_id()
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class ScriptedLedger:
    """A ledger whose commits can be held up or made to fail: what the committer does then is what is tested here."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.sent: list[int] = []
        self.reads: list[set[RowName]] = []
        self.records: dict[UnitKey, KeyRecord] = {}
        self.stamp = 0
        self.sent_fails: Callable[[int], BaseException | None] = lambda _version: None
        self.fails: Callable[[Sequence[UnitKey]], Exception | None] = lambda _keys: None
        self.wallet = Wallet(WALLET_ID, TENANT, "o", "USD", WalletStatus.OPEN, (), 0, 0, 0, 1, NOW, NOW, None, 0)

    async def read(self, names: Collection[RowName], keys: Collection[UnitKey]) -> BatchInput:
        self.reads.append(set(names))
        return self._input(names, {key: self.records[key] for key in keys if key in self.records})

    async def commit(self, names: Collection[RowName], keys: Sequence[UnitKey], decide: Decide) -> list[int]:
        await self._pass_gate()
        error = self.fails(keys)
        if error is not None:
            raise error
        rows = decide(self._input(names, {}))
        self._write(rows)
        self.batches.append(len(keys))
        return list(range(1, len(rows.journal) + 1))

    async def commit_if_unchanged(self, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows) -> Committed:
        del keys, expected
        version = rows.moved[0].version - 1
        self.sent.append(version)
        await self._pass_gate()
        error = self.sent_fails(version)
        if error is not None:
            raise error
        self._write(rows)
        return Committed(list(range(1, len(rows.journal) + 1)), NOW)

    def _input(self, names: Collection[RowName], records: Mapping[UnitKey, KeyRecord]) -> BatchInput:
        rows = Rows({name: self.wallet if name == WALLET_ID else None for name in names})
        return BatchInput(rows, {name: None if row is None else self.stamp for name, row in rows.items()}, records, NOW)

    def _write(self, rows: BatchRows) -> None:
        moved = rows.moved[0]
        self.wallet = replace(self.wallet, version=moved.version, posted_minor=moved.posted_minor)
        self.stamp = rows.stamp
        for row in rows.idempotency:
            self.records[row[:3]] = KeyRecord(row.fingerprint, (row.status, row.body), row.resource_id, ())

    async def _pass_gate(self) -> None:
        self.waiting += 1
        await self.gate.wait()
        await asyncio.sleep(0)
        self.waiting -= 1

    def classify(self, error: Exception) -> Failure:
        return classify(error)

    def conflict_of(self, error: BaseException) -> Conflict | None:
        return Conflict.STAMP if isinstance(error, asyncpg.SerializationError) else None


def a_deposit(key: str, *, deadline_s: float = 30.0, amount: int = 1) -> Unit:
    commands = (DepositFunds(WALLET_ID, amount, "USD"),)
    now_s = monotonic_s()
    return Unit(
        path="/v1/deposits",
        commands=commands,
        is_atomic_batch=False,
        tenant_id=TENANT,
        actor="tester",
        key=(TENANT, key, 0),
        fingerprint=fingerprint("/v1/deposits", commands),
        arrived_s=now_s,
        deadline_s=now_s + deadline_s,
    )


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


class Driven:
    """A committer at work on a scripted ledger, and its queue."""

    def __init__(self, ledger: ScriptedLedger, *, batch: int = 512, pipelining: bool = False, **limits: Any) -> None:
        metrics = CommitterMetrics(CollectorRegistry())
        self.queue = CommandQueue(dataclasses.replace(QueueLimits(), **limits), metrics=metrics)
        self.committer = Committer(
            ledger,
            self.queue,
            planning=Planning(
                ids=IDS,
                draw_stamp=partial(getrandbits, 63),
                hash_reference=lambda _tenant, reference: reference.encode(),
                renderer=JsonRenderer(ANSWERS),
            ),
            metrics=metrics,
            settings=CommitterSettings(
                batch_commands_max=batch,
                pipelining=pipelining,
                retry_pause_min_s=0.0001,
                retry_pause_max_s=0.0002,
            ),
        )

    async def finish(self) -> None:
        """Drain the queue and end."""
        self.queue.close()
        await self.committer.run()

    async def answers(self, *units: Unit) -> list[Any]:
        """Submit *units* at once, drain, and return the outcomes or errors."""
        futures = [self.queue.submit(unit) for unit in units]
        await self.finish()
        return await asyncio.gather(*futures, return_exceptions=True)


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


async def test_a_batch_is_sent_behind_the_one_that_is_written_and_the_next_is_decided(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger, pipelining=True)
    running = asyncio.create_task(driven.committer.run())
    await driven.queue.submit(a_deposit("the first"))

    outcomes = await three_in_a_row(driven, ledger)
    driven.queue.close()
    await running

    assert ledger.sent == [1, 2, 3, 4], "each batch expects what the one before it leaves"
    assert [version_in(outcome) for outcome in outcomes] == [3, 4, 5]
    assert (ledger.reads, ledger.batches) == ([{WALLET_ID}], []), "what was read once is known"


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (asyncpg.SerializationError("the wallet was moved on by somebody else"), [1, 2, 3]),
        (asyncio.CancelledError(), [1, 2, 3, 4]),
    ],
    ids=["a wrong guess, then a while of locks", "cancelled from within"],
)
async def test_a_batch_that_was_not_written_costs_nothing_but_time(
    ledger: ScriptedLedger, error: BaseException, sent: list[int]
) -> None:
    driven = Driven(ledger, pipelining=True)
    running = asyncio.create_task(driven.committer.run())
    await driven.queue.submit(a_deposit("the first"))
    ledger.sent_fails = lambda _version: error

    outcomes = await three_in_a_row(driven, ledger)
    driven.queue.close()
    await running

    assert [version_in(outcome) for outcome in outcomes] == [3, 4, 5], "in the order in which they came"
    assert (ledger.sent, ledger.batches) == (sent, [1, 1, 1])


async def test_what_was_written_behind_a_batch_that_was_not_is_answered(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger, pipelining=True)
    running = asyncio.create_task(driven.committer.run())
    await driven.queue.submit(a_deposit("the first"))
    ledger.sent_fails = lambda version: asyncpg.SerializationError("moved on") if version == 2 else None

    outcomes = await three_in_a_row(driven, ledger)
    driven.queue.close()
    await running

    assert version_in(outcomes[1]) == 4, "as it was sent: the database had accepted it"
    assert ledger.batches == [1, 1], "the first and the third on locked rows, the second not again"


async def test_a_repeat_of_what_was_seen_committed_is_answered_by_a_read(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger, pipelining=True)
    running = asyncio.create_task(driven.committer.run())
    first = await driven.queue.submit(a_deposit("k"))

    again = await driven.queue.submit(a_deposit("k"))
    other = await driven.queue.submit(a_deposit("k", amount=2))
    driven.queue.close()
    await running

    assert isinstance(first, Stored)
    assert isinstance(again, Stored)
    assert (again.answer, again.is_replayed) == (first.answer, True)
    assert other == KeyReused()
    assert (ledger.sent, ledger.batches) == ([1], []), "neither cost a batch"


async def test_a_record_that_was_forgotten_leaves_its_key_free(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger, pipelining=True)
    running = asyncio.create_task(driven.committer.run())
    await driven.queue.submit(a_deposit("k"))
    ledger.records.clear()

    again = await driven.queue.submit(a_deposit("k"))
    driven.queue.close()
    await running

    assert isinstance(again, Stored)
    assert not again.is_replayed
    assert ledger.sent == [1, 2]


async def three_in_a_row(driven: Driven, ledger: ScriptedLedger) -> list[Outcome]:
    """Have two batches of one wait at the gate and a third decided behind them; open it and return the outcomes."""
    ledger.gate.clear()
    futures = []
    for key in ("written", "sent", "decided"):
        futures.append(driven.queue.submit(a_deposit(key)))
        await until(lambda: ledger.waiting == min(len(futures), 2) and driven.queue.commands == 0)
    ledger.gate.set()
    return list(await asyncio.gather(*futures))


def version_in(outcome: Outcome) -> int:
    """Return the wallet's version that the answer tells."""
    assert isinstance(outcome, Stored)
    version: int = json.loads(outcome.answer[1])["entries"][0]["version"]
    return version


async def until(condition: Callable[[], bool]) -> None:
    """Return when *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is the committer's own state
            await asyncio.sleep(0)
