"""Batches decided ahead: sent one behind the other, settled where one is not written, and known repeats."""

import asyncio
import json

import asyncpg
import pytest
from services.wallet.tests.scripted_ledger import TENANT, WALLET_ID, Driven, ScriptedLedger, a_deposit, until

from contracts.ids import new_id
from wallet.application.rows import KeyRecord
from wallet.application.units import KeyReused, NotFound, Outcome, Stored
from wallet.domain.money import DepositFunds
from wallet.domain.policy import policy_name


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


async def test_a_batch_is_sent_behind_the_one_that_is_written_and_the_next_is_decided(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger, pipelining=True)
    running = asyncio.create_task(driven.committer.run())
    await driven.queue.submit(a_deposit("the first"))

    outcomes = await three_in_a_row(driven, ledger)
    driven.queue.close()
    await running

    assert ledger.sent == [1, 2, 3, 4], "each batch expects what the one before it leaves"
    assert [version_in(outcome) for outcome in outcomes] == [3, 4, 5]
    assert (ledger.reads, ledger.batches) == ([{WALLET_ID, policy_name(TENANT)}], []), "what was read once is known"


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


async def test_a_key_that_was_left_free_is_not_answered_by_a_read(ledger: ScriptedLedger) -> None:
    driven = Driven(ledger, pipelining=True)
    running = asyncio.create_task(driven.committer.run())
    nowhere = a_deposit("k")
    nowhere.commands = (DepositFunds(new_id(), 1, "USD"),)
    missing = await driven.queue.submit(nowhere)
    ledger.records[nowhere.key] = KeyRecord(nowhere.fingerprint, (201, b"{}"), None, ())  # by another instance

    await driven.queue.submit(a_deposit("k"))
    driven.queue.close()
    await running

    assert isinstance(missing, NotFound)
    assert ledger.keys_read == [], "nobody may have acknowledged what stands there: a batch finds it, with its barrier"


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
