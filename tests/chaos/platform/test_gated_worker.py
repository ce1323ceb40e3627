"""What the gates of the history's workers stand at."""

import asyncio
from pathlib import Path

import pytest
from tests.chaos.platform.gate import GATES, Action, Gate
from tests.chaos.platform.gated_worker import FULL, OBJECT, GatedObjects, _name

from transaction_history.jobs.objects import ObjectsUnavailable


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setenv(GATES, str(tmp_path))
    return Gate(tmp_path)


async def test_a_commit_is_told_by_the_last_statement_before_it() -> None:
    async def task() -> list[str | None]:
        write = "update history_jobs.job set done_rows = 1"
        return [_name(each) for each in ("COMMIT;", "select 1", write, "select 2", "COMMIT;", "COMMIT;")]

    before, other, write, _, commit, again = await asyncio.create_task(task())

    assert (before, other, again) == (None, None, None)
    assert write is not None
    assert commit == f"{write}-commit"


async def test_a_store_that_is_full_takes_no_object_and_does_so_again_afterwards(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "part"
    file.write_bytes(b"x" * 300_000)
    objects = GatedObjects(str(tmp_path / "objects"), {})

    gate.arm(FULL, Action.OWN)
    with pytest.raises(ObjectsUnavailable):
        await objects.put("a/0", file)
    gate.take(FULL, {"keys": []})
    await objects.put("a/1", file)

    assert {OBJECT, FULL} <= gate.noted("history-worker").keys()
    assert not (tmp_path / "objects/a/0").exists()
    assert (tmp_path / "objects/a/1").stat().st_size == 300_000
