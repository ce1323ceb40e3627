"""A planted bug counts as caught only by the checks that its entry names."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.chaos.__main__ import FAULTS
from tests.chaos.faults.planted import lose_update
from tests.chaos.platform.plant import Plant, Rewriting
from tests.chaos.run import Fault, RunResult

FUNCTIONS = Path("services/wallet/sql/functions")
PLANT = Plant(caught_by=frozenset({"I2", "I5"}), besides=frozenset({"I6"}))


def result(*broken: str, plant: Plant | None = PLANT, bit: int = 1) -> RunResult:
    """Return the result of a run in which the checks named *broken* found something."""
    fault = Fault(id="F31-some", title="", inflict=lose_update, plant=plant)
    made = RunResult.unfinished(fault, 1, 0.0, "")
    made.bit = bit
    made.breaches = {"I1": [], **{name: ["a breach"] for name in broken}}
    return made


@pytest.mark.parametrize("broken", [("I2", "I5"), ("I2", "I5", "I6")])
def test_a_planted_bug_is_caught_when_all_that_must_break_does_and_nothing_else_but_what_may(
    broken: Sequence[str],
) -> None:
    assert result(*broken).holds


@pytest.mark.parametrize("broken", [(), ("I2",), ("I6",), ("I1",), ("I1", "I2", "I5")])
def test_a_planted_bug_is_not_caught_by_fewer_checks_or_by_others(broken: Sequence[str]) -> None:
    assert not result(*broken).holds


def test_a_planted_bug_that_did_not_bite_is_not_caught() -> None:
    assert not result("I2", "I5", bit=0).holds


def test_a_run_without_a_bug_holds_only_when_nothing_broke() -> None:
    assert result(plant=None).holds
    assert not result("I2", plant=None).holds


def test_a_planted_run_that_was_not_finished_catches_nothing() -> None:
    fault = Fault(id="F31-some", title="", inflict=lose_update, plant=PLANT)

    assert not RunResult.unfinished(fault, 1, 0.0, "why").holds


def test_every_planted_bug_names_what_must_catch_it() -> None:
    planted = [fault.plant for fault in FAULTS.values() if fault.plant is not None]

    assert planted
    assert all(plant.caught_by for plant in planted)


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS.values() if fault.plant is not None], ids=lambda each: each.id
)
def test_a_plant_knows_the_functions_that_it_rewrites(fault: Fault) -> None:
    assert fault.plant is not None
    prepare = fault.plant.prepare
    texts: dict[str, str] = {}
    for rewrite in prepare.rewrites if isinstance(prepare, Rewriting) else ():
        name = rewrite.function.removeprefix("wallet.")
        text = texts.get(name) or (FUNCTIONS / f"{name}.sql").read_text()
        assert text.count(rewrite.old) == 1, rewrite
        texts[name] = text.replace(rewrite.old, rewrite.new)
