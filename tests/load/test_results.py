"""What is made of the measured rates: ratios, floors and the page."""

from pathlib import Path
from typing import Any

import pytest
from tests.load import page, report, usage
from tests.load.measuring import Outcome
from tests.load.plan import CELLS, smoke
from tests.load.ratios import FLOORS, judged, ratios
from tests.load.series import Rate, Series
from tests.samples import MACHINE


def series_of(**rates: list[float]) -> Series:
    """Return rates by cell, `_` for a space."""
    series = Series()
    for name, per_s in rates.items():
        for each in per_s:
            series.add(name.replace("__", " "), Rate(each))
    return series


def told_of(outcome: Outcome) -> dict[str, Any]:
    """Return the document of a run of every cell."""
    return report.document(smoke(frozenset(CELLS)), outcome, command="make bench", took_s=60, machine=MACHINE)


def test_the_best_setting_of_each_side_is_compared_by_its_median() -> None:
    series = series_of(
        committer__uniform__ahead=[90.0, 100.0, 700.0],
        committer__uniform__locked=[60.0, 60.0, 60.0],
        pgbench__several_statements__uniform__8=[10.0],
        pgbench__several_statements__uniform__64=[20.0],
    )

    found = ratios(series)

    assert found == {"ahead_vs_locked_uniform": 1.67, "committer_vs_pgbench_uniform": 5.0}


def test_a_cost_is_the_inverse_of_a_rate() -> None:
    series = series_of(sizes__10000=[1_000.0], sizes__10000000=[500.0], idle__http=[100.0], idle__pgbench=[150.0])

    found = ratios(series)

    assert found == {"cost_1e7_vs_1e4": 2.0, "idle_vs_pgbench_function": 1.5}


def test_one_size_is_not_taken_for_another_that_begins_like_it() -> None:
    series = series_of(sizes__10000=[100.0], sizes__100000=[900.0], sizes__1000000=[50.0])

    assert ratios(series) == {"cost_1e6_vs_1e4": 2.0}


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor.name)
def test_a_floor_holds_at_its_bound_and_is_missed_beyond(floor: Any) -> None:
    beyond = floor.bound + 0.01 if floor.is_ceiling else floor.bound - 0.01

    ((_, value),) = judged({floor.name: floor.bound})

    assert floor.holds(value)
    assert not floor.holds(beyond)


def test_the_page_names_what_was_missed_and_what_failed(tmp_path: Path) -> None:
    outcome = Outcome(series_of(http__uniform__64=[100.0], echo__uniform__64=[200.0], sizes__10000=[1_000.0]))
    outcome.figures["events_per_s"] = 20_000
    outcome.profile_us["decide"] = 2.5
    outcome.failed.append("backlog")

    page.write(told_of(outcome), tmp_path / "benchmarks.md", wallets=1_000)

    text = (tmp_path / "benchmarks.md").read_text()
    assert (
        "| `http_vs_fastapi_echo` | ÷ FastAPI that only reads and writes the bodies | ≥ 1 | 0.5 | **missed** |" in text
    )
    assert "| ≥ 15,000 | 20,000 | holds |" in text
    assert "for it failed: backlog" in text
    pictures = [line.partition("](")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert pictures == ["benchmarks/rates.svg", "benchmarks/profile.svg", "benchmarks/sizes.svg"]
    assert all((tmp_path / each).stat().st_size > 0 for each in pictures)


def test_pictures_are_the_same_for_the_same_run(tmp_path: Path) -> None:
    told = told_of(Outcome(series_of(http__uniform__64=[100.0])))

    for name in ("one", "two"):
        page.write(told, tmp_path / name / "benchmarks.md", wallets=1_000)

    first, second = (tmp_path / name / "benchmarks" / "rates.svg" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_the_page_tells_what_takes_the_cores(tmp_path: Path) -> None:
    outcome = Outcome()
    outcome.cores_us.update({"Kafka": 200.0, "wallet api": 300.0, "ended": 0.2})
    outcome.figures.update(
        visible_at_per_s=1_500, visible_wanted_per_s=2_500, visible_half_at_per_s=750, visible_half_p99_ms=99.0
    )

    page.write(told_of(outcome), tmp_path / "benchmarks.md", wallets=1_000)

    text = (tmp_path / "benchmarks.md").read_text()
    assert "500 µs in all, of which 2 cores carry at most 3,998 a second." in text
    assert text.index("| wallet api | 300 |") < text.index("| Kafka | 200 |")
    assert "| ended |" not in text


@pytest.mark.parametrize(
    ("command_line", "part"),
    [
        ("postgres: wallet_app wallet 127.0.0.1(41234) idle", "PostgreSQL: wallet"),
        ("postgres: autovacuum worker wallet", "PostgreSQL: background"),
        ("postgres: checkpointer", "PostgreSQL: background"),
        ("java -Xmx512m kafka.Kafka server.properties", "Kafka"),
        ("/x/.venv/bin/python -m fraud projector", "fraud projector"),
        ("/x/bin/postgres -D data", "postgres"),
        ("", "ended"),
    ],
)
def test_a_process_is_known_by_its_command_line(command_line: str, part: str) -> None:
    assert usage.part_of(command_line) == part
