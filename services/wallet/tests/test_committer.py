"""The committer's own promises: bounds, deadlines, splitting, joining."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from servicekit.clock import monotonic_s
from servicekit.failures import Failure, Overloaded, Unavailable, classify
from wallet.application.committer import Committer, CommitterLimits
from wallet.application.failures import OutcomeUnknown
from wallet.application.metrics import CommitterMetrics
from wallet.application.ports import Plan
from wallet.application.rows import Locked
from wallet.application.units import Stored, Unit, UnitKey, fingerprint
from wallet.domain.commands import DepositFunds
from wallet.domain.wallets import Wallet, WalletStatus

TENANT = new_id()
WALLET_ID = new_id()
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class ScriptedLedger:
    """A ledger whose commits can be held up or made to fail: what the committer does then is what is tested here."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails: Callable[[Sequence[UnitKey]], Exception | None] = lambda _keys: None
        self.wallet = Wallet(WALLET_ID, TENANT, "o", "USD", WalletStatus.OPEN, (), 0, 0, 0, 1, NOW, NOW, None)

    async def commit(self, wallet_ids: Sequence[UUID], keys: Sequence[UnitKey], plan: Plan) -> list[int]:
        del wallet_ids
        await self.gate.wait()
        await asyncio.sleep(0)
        error = self.fails(keys)
        if error is not None:
            raise error
        rows = plan(Locked({WALLET_ID: self.wallet}, {}, NOW))
        self.batches.append(len(keys))
        return list(range(1, len(rows.journal) + 1))

    def classify(self, error: Exception) -> Failure:
        return classify(error)


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


def committer_on(ledger: ScriptedLedger, **limits: Any) -> Committer:
    return Committer(
        ledger,
        make_id=new_id,
        hash_reference=lambda _tenant, reference: reference.encode(),
        metrics=CommitterMetrics(CollectorRegistry()),
        limits=dataclasses.replace(CommitterLimits(), **limits),
    )


async def test_what_queued_during_a_commit_is_the_next_batch(ledger: ScriptedLedger) -> None:
    committer = committer_on(ledger, batch_commands_max=8)
    ledger.gate.clear()
    running = asyncio.create_task(committer.run())
    first = committer.submit(a_deposit("0"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [committer.submit(a_deposit(str(n))) for n in range(1, 11)]

    ledger.gate.set()
    await asyncio.gather(first, *rest)
    committer.stop()
    await running

    assert ledger.batches == [1, 8, 2]


async def test_a_full_queue_refuses_at_once(ledger: ScriptedLedger) -> None:
    committer = committer_on(ledger, queue_commands_max=3)
    for n in range(3):
        committer.submit(a_deposit(str(n)))

    with pytest.raises(Overloaded):
        committer.submit(a_deposit("one too many"))

    assert committer.queued_commands == 3


async def test_a_command_past_its_deadline_is_not_executed(ledger: ScriptedLedger) -> None:
    committer = committer_on(ledger)
    late = committer.submit(a_deposit("late", deadline_s=-1.0))
    running = asyncio.create_task(committer.run())

    with pytest.raises(Overloaded):
        await late
    committer.stop()
    await running

    assert ledger.batches == []


async def test_a_stuck_commit_is_answered_at_the_deadline_as_unknown(ledger: ScriptedLedger) -> None:
    committer = committer_on(ledger, sweep_every_s=0.005)
    ledger.gate.clear()
    running = asyncio.create_task(committer.run())

    with pytest.raises(OutcomeUnknown):
        await committer.submit(a_deposit("stuck", deadline_s=0.02))

    ledger.gate.set()
    committer.stop()
    await running


async def test_one_bad_command_does_not_fail_the_rest(ledger: ScriptedLedger) -> None:
    committer = committer_on(ledger)

    def refuse_the_bad_one(keys: Sequence[UnitKey]) -> Exception | None:
        return asyncpg.CheckViolationError("bad") if any(key[1] == "bad" for key in keys) else None

    ledger.fails = refuse_the_bad_one
    futures = [committer.submit(a_deposit(key)) for key in ("1", "2", "bad", "3", "4")]
    running = asyncio.create_task(committer.run())
    answers = await asyncio.gather(*futures, return_exceptions=True)
    committer.stop()
    await running

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
    committer = committer_on(ledger, retry_pause_min_s=0.0001, retry_pause_max_s=0.0002)
    failures = [error, error]
    ledger.fails = lambda _keys: failures.pop() if failures else None
    running = asyncio.create_task(committer.run())

    outcome = await committer.submit(a_deposit("k"))
    committer.stop()
    await running

    assert isinstance(outcome, Stored)
    assert ledger.batches == [1]


async def test_exhausted_resources_refuse_everybody_without_a_split(ledger: ScriptedLedger) -> None:
    committer = committer_on(ledger)
    attempts: list[int] = []

    def out_of_memory(keys: Sequence[UnitKey]) -> Exception:
        attempts.append(len(keys))
        return asyncpg.OutOfMemoryError("53200")

    ledger.fails = out_of_memory
    futures = [committer.submit(a_deposit(str(n))) for n in range(4)]
    running = asyncio.create_task(committer.run())
    answers = await asyncio.gather(*futures, return_exceptions=True)
    committer.stop()
    await running

    assert [type(answer) for answer in answers] == [Unavailable] * 4
    assert attempts == [4]


async def test_a_repeat_in_flight_joins_the_first(ledger: ScriptedLedger) -> None:
    committer = committer_on(ledger)
    first, second = committer.submit(a_deposit("k")), committer.submit(a_deposit("k"))
    running = asyncio.create_task(committer.run())

    one, two = await asyncio.gather(first, second)
    committer.stop()
    await running

    assert isinstance(one, Stored)
    assert isinstance(two, Stored)
    assert (one.body, one.is_replayed, two.body, two.is_replayed) == (one.body, False, one.body, True)
    assert ledger.batches == [1]


async def test_a_stopping_committer_drains_its_queue_and_takes_no_more(ledger: ScriptedLedger) -> None:
    committer = committer_on(ledger)
    queued = [committer.submit(a_deposit(str(n))) for n in range(3)]
    committer.stop()

    with pytest.raises(Unavailable):
        committer.submit(a_deposit("too late"))
    await committer.run()

    assert all(isinstance(future.result(), Stored) for future in queued)
