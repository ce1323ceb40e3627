"""The page of a whole run, and what makes a run whole."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from tests.chaos import machine, page, report
from tests.chaos.__main__ import FAULTS, is_whole, rounds
from tests.chaos.run import RunResult
from tests.samples import MACHINE

WALKED = {
    "seed": 1,
    "steps": 100_000,
    "worlds": 250,
    "seconds": 50,
    "breach": "",
    "seen": {"Deposit done": 7_000, "Place wallet_frozen": 1_000, "batch wallet_frozen": 2},
}
TITLES = {"F1": "kill PostgreSQL", "F5": "no flush"}


def result(fault: str, seed: int, **changes: Any) -> RunResult:
    fields = {
        "what": "killed | once",
        "bit": 3,
        "operations": 1_000,
        "repeats": 0,
        "unanswered": 0,
        "events": 2_000,
        "records": 2_000,
        "snapshots": 5,
        "recovery_s": float(seed),
        "seconds": 12.0,
        "breaches": {"I1": [], "I5": [], "own": []},
        "phases": {"start": 5.0, "load": 6.0, "drain": 0.1},
    }
    return RunResult(fault=fault, seed=seed, **{**fields, **changes})


def caught(seed: int) -> RunResult:
    return result("F5", seed, must=["I5"], breaches={"I1": [], "I5": ["lost"], "own": []})


def written(tmp_path: Path, *results: RunResult) -> str:
    about = {"command": "make chaos", "began": "2026-01-01T00:00", "took_s": 60, "machine": MACHINE, "money": WALKED}
    told = report.document(results, titles=TITLES, **about)
    page.write(told, tmp_path / "reliability.md")
    return (tmp_path / "reliability.md").read_text()


def test_a_fault_has_one_line_for_all_its_seeds(tmp_path: Path) -> None:
    text = written(tmp_path, *(result("F1", seed) for seed in (1, 2, 5)))

    assert "| F1 | kill PostgreSQL | killed \\| once | 3,000 | 1 2 5 | all 2 hold | 1.0 / 2.0 / 5.0 |" in text
    assert "3 of 3 runs held" in text


def test_a_broken_invariant_and_a_fault_without_a_bite_stand_out(tmp_path: Path) -> None:
    text = written(tmp_path, result("F1", 1, breaches={"I5": ["lost"]}), result("F2", 1, bit=0, must=[]))

    assert "**broken: I5**" in text
    assert "**did not bite**" in text
    assert "0 of 2 runs held" in text


def test_what_did_not_hold_is_told_with_its_reason(tmp_path: Path) -> None:
    traced = (
        "  + Exception Group Traceback\n  | File x\n    | asyncpg.exceptions.CannotConnectNowError: in recovery mode"
    )
    text = written(
        tmp_path, result("F1", 1, breaches={"I5": ["lost", "again"]}), result("F1", 2, breaches={"run": [traced]})
    )

    assert "- F1 with seed 1: `I5`: lost\n" in text
    assert "- F1 with seed 2: `run`: asyncpg.exceptions.CannotConnectNowError: in recovery mode" in text
    assert "1.0 / 1.0 / 1.0" in text, "a run that was not finished has no recovery"


def test_a_planted_bug_names_what_caught_it(tmp_path: Path) -> None:
    text = written(tmp_path, caught(1))

    assert "| F5 | no flush | killed \\| once | 1 | I5 |" in text
    assert "1 of 1 planted bugs were caught" in text


def test_a_planted_bug_that_passed_stands_out(tmp_path: Path) -> None:
    text = written(tmp_path, result("F5", 1, must=["I5"]))

    assert "**not caught as it should be**" in text


def test_the_pictures_are_there_and_the_same_for_the_same_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = written(tmp_path / name, result("F1", 1), caught(1))

    pictures = [line.partition("](")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert pictures == ["reliability/recovery.svg", "reliability/phases.svg"]
    for each in pictures:
        assert (tmp_path / "one" / each).read_bytes() == (tmp_path / "two" / each).read_bytes()


def test_only_every_fault_and_a_long_walk_is_a_whole_run() -> None:
    assert is_whole(list(FAULTS), machine.STEPS)
    assert not is_whole(list(FAULTS)[1:], machine.STEPS)
    assert not is_whole(list(FAULTS), machine.STEPS - 1)


def test_the_walk_of_the_machine_is_told_with_its_steps_and_seed(tmp_path: Path) -> None:
    text = written(tmp_path, result("F1", 1))

    assert "Seed 1, 100,000 steps in 50 s, in 250 ledgers one after another" in text
    assert "7,000 requests carried out, 1,002 refused by 1 codes, **all as the model says.**" in text


def test_a_walk_is_made_in_a_process_of_its_own_and_what_breaks_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    walked = machine.walk(50, 3)
    monkeypatch.setattr(machine, "_MODULE", "services.wallet.tests.nothing")
    broken = machine.walk(50, 3)

    assert (walked["seed"], walked["breach"]) == (3, "")
    assert walked["steps"] >= 50
    assert "No module named" in broken["breach"]
    assert "**It broke**" in "".join(machine.section(broken))


def test_seeds_end_with_their_number_or_go_on_while_there_are_hours() -> None:
    assert list(rounds(1, 3, 0.0)) == [range(1, 4)]
    assert list(itertools.islice(rounds(1, 3, 1.0), 3)) == [range(1, 4), range(4, 5), range(5, 6)]
