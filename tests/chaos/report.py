"""What a chaos run tells: a line per run as it goes, a table at its end, and the same as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.platform.platform import ROOT
from tests.chaos.run import RunResult

RESULTS = ROOT / ".local" / "results"
LOGS = RESULTS / "chaos-logs"
CAUGHT_SHOWN = 1
"""Of each check that caught a planted bug."""
_HEADER = ("fault", "seed", "what bit", "ops", "events", "invariants", "recovery s")


def show(result: RunResult, title: str) -> None:
    """Print one run, with its breaches."""
    what = f"{result.what}; {_state(result)}, {result.seconds} s"
    print(f"{result.fault} seed {result.seed} ({title}): {what}", flush=True)
    print(f"    {', '.join(f'{phase} {seconds} s' for phase, seconds in result.phases.items())}", flush=True)
    for invariant, breaches in result.breaches.items():
        for breach in breaches[: CAUGHT_SHOWN if result.caught_by and result.holds else None]:
            print(f"    {invariant}: {breach}", flush=True)
    if not result.bit:
        print("    the fault did not bite", flush=True)


def _state(result: RunResult) -> str:
    """Return whether it holds; of a planted bug, by what it was caught."""
    if not result.must:
        return "holds" if result.holds else "DOES NOT HOLD"
    return f"caught by {', '.join(result.caught_by)}" if result.holds else "NOT CAUGHT AS IT SHOULD BE"


def table(results: Sequence[RunResult]) -> None:
    """Print all runs."""
    rows = [_HEADER, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(result: RunResult) -> tuple[str, ...]:
    return (
        result.fault,
        str(result.seed),
        result.what,
        str(result.operations),
        str(result.events),
        _judgement(result),
        f"{result.recovery_s:.1f}",
    )


def _judgement(result: RunResult) -> str:
    if result.must and result.holds:
        return f"caught by {' '.join(result.caught_by)}"
    if result.broken:
        return f"broken: {' '.join(sorted(result.broken))}"
    if result.must:
        return "not caught"
    return "hold" if result.bit else "did not bite"


def document(results: Sequence[RunResult], *, titles: Mapping[str, str], **about: Any) -> dict[str, Any]:
    """Return all that is known of a run; *about* is what is known besides its results."""
    runs = [
        {
            **asdict(result),
            "title": titles.get(result.fault, ""),
            "holds": result.holds,
            "caught_by": result.caught_by,
        }
        for result in results
    ]
    return {**about, "runs": runs}


def write(told: Mapping[str, Any], path: Path) -> None:
    """Write all runs as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"\nwritten to {path}")
