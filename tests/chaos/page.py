"""`docs/reliability.md`, made of what a whole run told."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.chaos import machine, plots
from tests.pages import run_by, table

Run = Mapping[str, Any]
"""A result as it is written."""
OF_THE_RUN: Final = frozenset({"run", "own"})
"""What stands among the breaches and is no check of the checker."""
_TITLES: Final = {
    "recovery.svg": "Seconds to recover",
    "phases.svg": "Where a run's time goes",
}
_HOW: Final = """\
Each fault is inflicted on the product's own processes, a durable PostgreSQL and a Kafka broker under a seeded load of
transfers, deposits, withdrawals, batches and repeats. An independent checker judges what is left, by the answers that
the clients were given, the journal, the topics and the read models. What is done in each fault, and how its recovery is
measured, is told in [chaos runs](architecture/chaos.md); what the invariants say in [invariants](invariants.md)."""
_PLANTED: Final = """\
Each of these bugs is planted in the platform for one run: the checker must find it by each of the checks named, and by
no check that the bug does not break."""


def write(told: Mapping[str, Any], path: Path) -> None:
    """Write the page, and its pictures into the folder of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = plots.draw(told, path.with_suffix(""))
    path.write_text("\n\n".join(_sections(told, path.stem, pictures)) + "\n")


def by_fault(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each fault, in their order."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run["fault"], []).append(run)
    return found


def _sections(told: Mapping[str, Any], folder: str, pictures: Sequence[str]) -> Iterator[str]:
    clean = [run for run in told["runs"] if not run["must"]]
    planted = [run for run in told["runs"] if run["must"]]
    yield "# Reliability\n\nWritten by a whole `make chaos`; not to be changed by hand."
    yield f"{run_by(told)} It began at {told['began']}."
    yield _HOW
    yield _summary(clean, planted)
    yield "## Faults"
    yield table(
        ("#", "fault", "that it bit, with the first seed", "operations", "seeds", "checks", "recovery s"),
        (_fault(name, runs) for name, runs in by_fault(clean).items()),
    )
    failed = [line for run in told["runs"] if not run["holds"] for line in _failures(run)]
    if failed:
        yield "## What did not hold"
        yield "\n".join(failed)
    if planted:
        yield f"## Planted bugs\n\n{_PLANTED}"
        yield table(
            ("#", "bug", "what was done", "seeds", "caught by"),
            (_bug(name, runs) for name, runs in by_fault(planted).items()),
        )
    yield from machine.section(told["money"])
    for name in pictures:
        yield f"## {_TITLES[name]}\n\n![{_TITLES[name]}]({folder}/{name})"


def _summary(clean: Sequence[Run], planted: Sequence[Run]) -> str:
    held, caught = (sum(run["holds"] for run in runs) for runs in (clean, planted))
    operations = sum(run["operations"] for run in clean)
    return (
        f"**{held} of {len(clean)} runs held, with {operations:,} settled commands; "
        f"{caught} of {len(planted)} planted bugs were caught.** "
        "The recovery is the least, the median and the greatest of the seeds."
    )


def _fault(name: str, runs: Sequence[Run]) -> tuple[str, ...]:
    recovery_s = [run["recovery_s"] for run in runs if not run["breaches"].get("run")] or [0.0]
    return (
        name,
        runs[0]["title"],
        _cell(runs[0]["what"]),
        f"{sum(run['operations'] for run in runs):,}",
        _seeds(runs),
        _checks(runs),
        " / ".join(f"{each(recovery_s):.1f}" for each in (min, statistics.median, max)),
    )


def _failures(run: Run) -> Iterator[str]:
    """Give a line for each check that found something, with the first of it; of a traceback, what was raised."""
    name = f"- {run['fault']} with seed {run['seed']}"
    if not run["bit"] and not run["breaches"].get("run"):
        yield f"{name}: it did not bite"
    for check, found in run["breaches"].items():
        if found:
            lines = [line.strip(" |+-") for line in found[0].splitlines()]
            raised = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
            yield f"{name}: `{check}`: {(raised or lines)[0]}"


def _bug(name: str, runs: Sequence[Run]) -> tuple[str, ...]:
    caught = sorted({check for run in runs for check in run["caught_by"]})
    result = ", ".join(caught) if all(run["holds"] for run in runs) else "**not caught as it should be**"
    return name, runs[0]["title"], _cell(runs[0]["what"]), _seeds(runs), result


def _seeds(runs: Sequence[Run]) -> str:
    return " ".join(str(run["seed"]) for run in runs)


def _checks(runs: Sequence[Run]) -> str:
    """Tell how many checks judged and held, or which did not."""
    broken = sorted({name for run in runs for name, found in run["breaches"].items() if found})
    if broken:
        return f"**broken: {', '.join(broken)}**"
    if not all(run["bit"] for run in runs):
        return "**did not bite**"
    judged = {name for run in runs for name in run["breaches"]} - OF_THE_RUN
    return f"all {len(judged)} hold"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
