import sys

import pytest
from tests import stages
from tests.stages import Stage


def exits(name: str, code: int, *rest: str) -> Stage:
    return Stage(name, (sys.executable, "-c", f"raise SystemExit({code})", *rest))


def test_the_first_failure_ends_the_run_with_its_code(capfd: pytest.CaptureFixture[str]) -> None:
    code = stages.run_all([exits("one", 0), exits("two", 3), exits("three", 0)])

    assert code == 3
    table = capfd.readouterr().out.rpartition("\n\n")[2].split()
    assert [word for word in table if word in {"one", "two", "three", "ok", "FAILED"}] == ["one", "ok", "two", "FAILED"]


def test_a_kind_of_test_that_nobody_has_written_is_told_and_no_failure(capfd: pytest.CaptureFixture[str]) -> None:
    assert stages.run_all([exits("end to end", 5, "pytest")]) == 0
    assert "no tests of this kind yet" in capfd.readouterr().out


def test_exit_code_5_of_another_program_is_a_failure() -> None:
    assert stages.run_all([exits("lint", 5)]) == 5


def test_unknown_words_are_refused() -> None:
    assert stages.main(["chekc"]) == 2


def test_every_member_is_checked() -> None:
    sources = stages.folders("src")

    assert {"libs/contracts/src", "services/transaction-history/src", "deploy/local/src"} <= set(sources)
