"""The gates stand around every statement that a commit sends: none goes to the database between them unseen."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from tests.chaos.platform.gate import Action, Gate
from tests.chaos.platform.gated_ledger import (
    AHEAD,
    BOUNDARIES,
    COMMITTING,
    READING,
    STEPS,
    WRITTEN,
    GatedLedger,
    Moment,
    boundary,
)

from wallet.application.rows import BatchRows

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEYS = [(UUID(int=1), "key-1", 0)]
ROWS = cast(
    "BatchRows",
    SimpleNamespace(
        now=NOW,
        stamp=1,
        opened=[],
        moved=[],
        changed=[],
        made_states=[],
        changed_states=[],
        shards=[],
        journal=[],
        references=[],
        idempotency=[SimpleNamespace(key="key-1")],
        raised=[],
    ),
)


class Passed(Gate):
    """A gate that remembers which points were passed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.points: list[str] = []

    async def reach(self, point: str, facts: dict[str, Any]) -> None:
        self.points.append(point)
        await super().reach(point, facts)


class Sent:
    """A connection that counts its statements."""

    def __init__(self) -> None:
        self.statements = 0

    def is_closed(self) -> bool:
        return False

    def terminate(self) -> None:
        pass

    def add_log_listener(self, _: object) -> None:
        pass

    def remove_log_listener(self, _: object) -> None:
        pass

    async def execute(self, *_: object) -> None:
        self.statements += 1
        await asyncio.sleep(0.001)

    async def fetchval(self, *_: object) -> list[int]:
        self.statements += 1
        return [1]

    async def fetchrow(self, *_: object) -> dict[str, Any]:
        self.statements += 1
        return {"seqs": [1], "wallets": None, "states": None, "records": None, "at": NOW}


@pytest.fixture
def gate(tmp_path: Path) -> Passed:
    return Passed(tmp_path)


@pytest.fixture
def connection() -> Sent:
    return Sent()


@pytest.fixture
def ledger(gate: Passed, connection: Sent) -> GatedLedger:
    ledger = GatedLedger("postgresql://nowhere", gate=gate, commit_lock=True)
    ledger._idle.append(cast("Any", connection))
    return ledger


async def test_every_statement_of_a_commit_on_locked_rows_has_its_gates(
    ledger: GatedLedger, gate: Passed, connection: Sent
) -> None:
    await ledger.commit([], KEYS, lambda _: ROWS)

    steps = [step for step in STEPS if step not in AHEAD | READING]
    around = (Moment.BEFORE, Moment.ANSWERED)
    assert sorted(gate.points) == sorted(boundary(step, moment) for step in steps for moment in around)
    assert connection.statements == len(steps)


async def test_the_statement_of_a_commit_ahead_has_its_gates(
    ledger: GatedLedger, gate: Passed, connection: Sent
) -> None:
    await ledger.commit_if_unchanged(KEYS, {}, ROWS)

    assert gate.points == [boundary(step, moment) for step in AHEAD for moment in (Moment.BEFORE, Moment.ANSWERED)]
    assert connection.statements == len(AHEAD)


async def test_a_gate_between_statement_and_answer_is_reached_while_the_answer_is_out(
    ledger: GatedLedger, gate: Passed
) -> None:
    gate.arm(COMMITTING, Action.HOLD)
    gate.release(COMMITTING)

    await ledger.commit([], KEYS, lambda _: ROWS)

    reached = await gate.wait_reached(COMMITTING, within_s=1)
    assert reached.facts == {"keys": ["key-1"]}


async def test_a_batch_decided_ahead_is_left_to_the_path_a_gate_waits_on(ledger: GatedLedger, gate: Passed) -> None:
    gate.arm(WRITTEN, Action.KILL)

    with pytest.raises(Exception, match="a gate waits for this batch"):
        await ledger.commit_if_unchanged(KEYS, {}, ROWS)


def test_each_step_has_three_boundaries() -> None:
    assert len(BOUNDARIES) == 3 * len(STEPS)
    assert set(STEPS) >= AHEAD
